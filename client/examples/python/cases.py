"""cases.py FILE..: holds the client of notifier.py against wire cases; one line for each: ok, not ok or skip.

The node of a case is scripted here: it does what the steps say, frame by frame, over protocol buffers.
"""

import asyncio
import base64
import json
import sys
import time

from google.protobuf import json_format
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

import notifier
import notifier_pb2 as pb

# What this client leaves out; a case names it in `feature`.
LEFT_OUT = {"checks", "complete", "cover", "late", "move", "release"}
LIMITS = {"messageBytes": 65536, "framesPerSecond": 100, "framesBurst": 1000, "requestsInFlight": 16}


async def until(condition, what, seconds=5):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not in time: {what}")
        await asyncio.sleep(0.005)
    return value


def to_proto(value):
    """A frame of the JSON protocol with its data as protocol buffers carry it."""
    if isinstance(value, list):
        return [to_proto(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {key: to_proto(one) for key, one in value.items() if key not in ("data", "dataBase64")}
    if "data" in value:
        made["data"] = base64.b64encode(json.dumps(value["data"]).encode()).decode()
    return made | ({"data": value["dataBase64"]} if "dataBase64" in value else {})


def payload(data):
    """The data of an event as the cases write it: bytes that are no JSON are an object of numbers."""
    try:
        return json.loads(data)
    except ValueError:
        return {str(index): byte for index, byte in enumerate(data)}


def to_json(message):
    made = json_format.MessageToDict(message)
    for body in [made, *made.values()]:
        for event in [body, body.get("event")] if isinstance(body, dict) else []:
            if isinstance(event, dict) and "data" in event:
                event["data"] = payload(base64.b64decode(event["data"]))
    return made


def contains(actual, expected, path=""):
    """Raises where something that is expected is not there; lists have to be equally long."""
    if isinstance(expected, list):
        assert isinstance(actual, list) and len(actual) == len(expected), f"{path}: {actual}"
        for index, value in enumerate(expected):
            contains(actual[index], value, f"{path}[{index}]")
    elif isinstance(expected, dict):
        assert isinstance(actual, dict), f"{path}: {actual}"
        for key, value in expected.items():
            contains(actual.get(key), value, f"{path}.{key}")
    else:
        # The JSON form of protocol buffers writes 64 bits as a text, and leaves out what is 0 or false.
        same = actual == expected or str(actual) == str(expected) or (actual is None and not expected)
        assert same, f"{path}: {actual}, not {expected}"


class Peer:
    """The node's end of one connection."""

    def __init__(self, socket):
        self.socket, self.frames, self.taken = socket, [], 0

    async def next(self, body):
        await until(lambda: len(self.frames) > self.taken, f"a frame `{body}`")
        frame = self.frames[self.taken]
        assert body in frame, f"expected `{body}`, got {frame}"
        self.taken += 1
        return frame

    async def send(self, *frames):
        batch = json_format.ParseDict({"frames": to_proto(list(frames))}, pb.ServerBatch(), ignore_unknown_fields=True)
        await self.socket.send(batch.SerializeToString())


class Run:
    def __init__(self, case):
        self.tokens, self.steps = case.get("tokens"), case["steps"]
        self.peers, self.logs, self.undo, self.ids, self.counts, self.tasks = [], {}, {}, {}, {}, []

    async def run(self):
        async with serve(self.accept, "127.0.0.1", 0, subprotocols=["notifier.v1.proto"], ping_interval=None) as server:
            port = server.sockets[0].getsockname()[1]
            self.client = notifier.Client(f"ws://127.0.0.1:{port}", self.token if self.tokens is not None else None)
            try:
                for number, step in enumerate(self.steps, 1):
                    try:
                        await self.step(step)
                    except AssertionError as error:
                        raise AssertionError(f"step {number}, {json.dumps(step)}: {error}") from None
            finally:
                for task in [*self.tasks, *([self.client.task] if self.client.task else [])]:
                    task.cancel()
                server.close(close_connections=False)
                for peer in self.peers:
                    peer.socket.transport.abort()

    async def token(self, _reason):
        assert self.tokens, "a token too many was asked for"
        return self.tokens.pop(0)

    async def accept(self, socket):
        peer = Peer(socket)
        self.peers.append(peer)
        try:
            async for message in socket:
                peer.frames.extend(to_json(frame) for frame in pb.ClientBatch.FromString(message).frames)
        except ConnectionClosed:
            pass  # most cases end it

    def heard(self, name, kind, what):
        log = self.logs.setdefault(name, [])
        if kind == "error":
            return log.append({"error": what.code})
        told = json_format.MessageToDict(what)
        if kind == "gap":
            told = {"reason": what.reason, "stream": what.stream, "from": what.from_seq, "to": what.to_seq}
            return log.append({"gap": told})
        data = {"data": payload(what.data)} if what.data else {}
        return log.append({"event": told | data | {"replayed": kind == "replay", "snapshot": kind == "snapshot"}})

    async def ask(self, name, asking):
        log = self.logs.setdefault(name, [])
        try:
            log.append({"answer": await asking})
        except notifier.Refusal as error:
            log.append({"error": error.code})

    async def publish(self, subject, data, options):
        identifier = options.get("id", "made-up")
        answer = await self.client.publish(subject, data, id=identifier)
        return {"id": identifier, "stream": answer.stream, "seq": answer.seq, "duplicate": answer.duplicate}

    async def step(self, step):
        (what, value), *_ = [(key, value) for key, value in step.items() if key != "on"]
        client = self.client
        if what == "subscribe":
            name = value["as"]
            self.undo[name] = client.subscribe(value["subject"], lambda *told: self.heard(name, *told))
        elif what == "unsubscribe":
            self.undo[value]()
        elif what in ("publish", "request"):
            subject, data = value["subject"], value["data"]
            options = value.get("options", {})
            asking = self.publish(subject, data, options) if what == "publish" else client.request(subject, data)
            self.tasks.append(asyncio.create_task(self.ask(value["as"], asking)))
            await asyncio.sleep(0)
        elif what == "heard":
            for name, expected in value.items():
                await until(lambda: len(self.logs.get(name, [])) >= len(expected), f"what {name} hears")
                contains(self.logs.get(name, []), expected)
        elif what == "status":
            await until(lambda: client.status == value, f"status {value}")
        elif what == "connections":
            await until(lambda: len(self.peers) >= value, f"{value} connections")
            assert len(self.peers) == value
        elif what == "cursor":
            positions = client.subscriptions[value["subject"]].after()
            text = ".".join(["v1", *(f"{one.stream}~{one.epoch}~{one.seq}" for one in positions)])
            assert text == value["is"], text
        else:
            number = step.get("on", max(0, len(self.peers) - 1))
            await until(lambda: len(self.peers) > number, f"connection {number}")
            await self.at_node(self.peers[number], what, value)

    async def at_node(self, peer, what, value):
        if what == "welcome":
            frame = await peer.next("connect")
            welcome = {"connection": "c", "node": "n", "heartbeatMs": 25000, "limits": LIMITS} | value
            await peer.send({"replyTo": frame["id"], "welcome": welcome})
        elif what == "expect":
            body = next(key for key in value if key != "id")
            frame = await peer.next(body)
            self.counts[body] = self.counts.get(body, 0) + 1
            self.ids[f"${body}"] = self.ids[f"${body}.{self.counts[body]}"] = frame.get("id")
            contains(frame, value)
        elif what == "quiet":
            await asyncio.sleep(value / 1000)
            assert peer.frames[peer.taken :] == [], peer.frames[peer.taken :]
        elif what == "send":
            reply = lambda frame: frame | ({"replyTo": self.ids[frame["replyTo"]]} if "replyTo" in frame else {})
            await peer.send(*map(reply, value))
        elif what == "close":
            await peer.socket.close(*value)
        elif what == "cut":
            peer.socket.transport.abort()
        else:
            raise AssertionError("an unknown step")


async def main(files):
    failed = False
    for file in files:
        for case in json.load(open(file, encoding="utf-8")):
            if case.get("feature") in LEFT_OUT:
                print(f"skip {case['name']}: {case['feature']}")
                continue
            try:
                await asyncio.wait_for(Run(case).run(), 20)
                print(f"ok {case['name']}")
            except (AssertionError, asyncio.TimeoutError) as error:
                failed = True
                print(f"not ok {case['name']}: {error}")
    return failed


sys.exit(asyncio.run(main(sys.argv[1:])))
