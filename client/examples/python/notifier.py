"""A client of Notifier in Python, over protocol buffers: handlers that resume, publish, request, tokens.

An example of how little a client needs, held against the wire cases of client/cases by cases.py. It leaves out what a
page of many components needs: handlers that come late, releasing subscriptions, and moving with two connections.
Needs Python 3.10, `protobuf` and `websockets`; protoc makes `notifier_pb2.py` of proto/notifier/v1/notifier.proto.
"""

import asyncio
import itertools
import json
import random
import secrets

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

import notifier_pb2 as pb

LOST, TOKEN_REFUSED, COME_BACK = 1006, (4501, 4502), (1001, 1006, 1011, 1012, 1013)


class Refusal(Exception):
    def __init__(self, code, message, retryable=False):
        super().__init__(message)
        self.code, self.retryable = code, retryable


def matches(pattern, subject):
    wanted, tokens = pattern.split("."), subject.split(".")
    longer = wanted[-1] == ">" and len(tokens) >= len(wanted)
    return (longer or len(tokens) == len(wanted)) and all(w in ("*", ">", t) for w, t in zip(wanted, tokens))


class Subscription:
    def __init__(self, pattern):
        self.pattern, self.handlers, self.id, self.live, self.cursor = pattern, [], 0, False, {}

    def fresh(self, event):
        """Raises the cursor to an event; False where it was known. Live events are in no stream."""
        entry = self.cursor.setdefault(event.stream, ["", 0]) if event.stream else ["", -1]
        known, entry[1] = event.seq <= entry[1], max(entry[1], event.seq)
        return not known

    def join(self, position):
        epoch, seq = self.cursor.get(position.stream, ("", 0))
        seq = max(seq, position.seq) if epoch in ("", position.epoch) else position.seq
        self.cursor[position.stream] = [position.epoch, seq]

    def after(self):
        return [pb.Position(stream=name, epoch=epoch, seq=seq) for name, (epoch, seq) in self.cursor.items() if epoch]

    def tell(self, kind, what):
        for handler in list(self.handlers):
            handler(kind, what)


class Client:
    def __init__(self, url, token=None):
        self.url, self.token, self.status, self.refused = url, token, "idle", False
        self.subscriptions, self.calls, self.ids, self.out = {}, {}, itertools.count(1), []
        self.socket = self.welcome = self.task = None

    def subscribe(self, pattern, handler):
        """Calls `handler(kind, what)`: `event`, `replay` or `snapshot` and an event, `gap` and it, `error` and a Refusal."""
        subscription = self.subscriptions.setdefault(pattern, Subscription(pattern))
        subscription.handlers.append(handler)
        if self.socket and not subscription.id:
            self._subscribe(subscription)
        self._start()
        return lambda: subscription.handlers.remove(handler)

    async def publish(self, subject, data, **attributes):
        event = pb.Event(data=json.dumps(data).encode(), **{"id": secrets.token_hex(12), **attributes})
        return (await self._call(pb.ClientFrame(publish=pb.Publish(subject=subject, event=event)), True)).published

    async def request(self, subject, data, timeout=5):
        body = pb.Request(subject=subject, event=pb.Event(data=json.dumps(data).encode()), timeout_ms=timeout * 1000)
        answer = await asyncio.wait_for(self._call(pb.ClientFrame(request=body), False), timeout)
        return json.loads(answer.response.event.data)

    def _start(self):
        self.task = self.task or asyncio.create_task(self._run())

    def _call(self, frame, repeatable):
        frame.id, future = next(self.ids), asyncio.get_running_loop().create_future()
        self.calls[frame.id] = (frame, repeatable, future)
        self._send(frame) if self.welcome else self._start()
        return future

    def _send(self, frame):
        self.out.append(frame)
        if len(self.out) == 1:  # what one turn of the loop asks for travels together
            asyncio.get_running_loop().call_soon(lambda: asyncio.create_task(self._flush()))

    async def _flush(self):
        frames, self.out = self.out, []
        try:
            await self.socket.send(pb.ClientBatch(frames=frames).SerializeToString())
        except (WebSocketException, AttributeError):
            pass  # the connection has ended, and what matters is sent again on the next one

    def _subscribe(self, subscription):
        subscription.id = next(self.ids)
        body = pb.Subscribe(subject=subscription.pattern, after=subscription.after())
        self._send(pb.ClientFrame(id=subscription.id, subscribe=body))

    async def _run(self):
        attempt = 0
        while True:
            self.status, attempt = "connecting", attempt + 1
            token = await self.token("rejected" if self.refused else "connect") if self.token else ""
            code, welcomed = await self._connection(token)
            attempt = 0 if welcomed else attempt
            again = code in TOKEN_REFUSED and self.token and not self.refused
            self.refused = code in TOKEN_REFUSED
            for call, (_, repeatable, future) in list(self.calls.items()):
                if not repeatable:
                    self.calls.pop(call) and future.set_exception(Refusal("connection_lost", "the connection was lost"))
            if not (again or 4000 <= code < 4500 or code in COME_BACK):
                self.status = "unauthorized" if self.refused else "closed"
                return
            self.status = "waiting"
            await asyncio.sleep(random.uniform(0, min(30, 0.25 * 2**attempt)))

    async def _connection(self, token):
        """Reads until it ends; returns the code, and whether it was welcome."""
        try:
            options = {"subprotocols": ["notifier.v1.proto"], "ping_interval": None, "close_timeout": 1}
            async with connect(self.url, **options) as self.socket:
                self._send(pb.ClientFrame(id=next(self.ids), connect=pb.Connect(token=token)))
                for subscription in self.subscriptions.values():
                    self._subscribe(subscription)
                while True:
                    for frame in pb.ServerBatch.FromString(await self._message()).frames:
                        self._take(frame)
        except (WebSocketException, OSError, asyncio.TimeoutError) as error:
            code = LOST if isinstance(error, asyncio.TimeoutError) else getattr(self.socket, "close_code", LOST)
        welcomed, self.socket, self.welcome, self.out = bool(self.welcome), None, None, []
        for subscription in self.subscriptions.values():
            subscription.live = False
        return code, welcomed

    async def _message(self):
        try:
            return await asyncio.wait_for(self.socket.recv(), self.welcome.heartbeat_ms / 500 if self.welcome else 10)
        except asyncio.TimeoutError:  # two heartbeats without a sound: it is asked once
            self._send(pb.ClientFrame(id=next(self.ids), ping=pb.Ping()))
            return await asyncio.wait_for(self.socket.recv(), 2)

    def _take(self, frame):
        kind = frame.WhichOneof("body")
        body = kind and getattr(frame, kind)
        subscription = self.subscriptions.get(getattr(body, "subject", ""))
        if subscription and frame.reply_to not in (0, subscription.id):
            subscription = None  # of an earlier request for the same pattern
        if frame.reply_to in self.calls:
            future = self.calls.pop(frame.reply_to)[2]
            future.set_exception(Refusal(body.code, body.message)) if kind == "error" else future.set_result(frame)
        elif kind == "welcome":
            self.welcome, self.status, self.refused = body, "online", False
            for call, _, _ in self.calls.values():
                self._send(call)
        elif kind == "event":
            for one in self.subscriptions.values():
                if one.live and matches(one.pattern, body.subject) and one.fresh(body):
                    one.tell("event", body)
        elif kind == "replay" and subscription:
            if body.epoch and body.events:  # known early: who is cut off in the first replay goes on from there
                subscription.join(pb.Position(stream=body.events[0].stream, epoch=body.epoch))
            for event in body.events:
                if subscription.fresh(event):
                    subscription.tell("snapshot" if body.snapshot else "replay", event)
        elif kind == "subscribed" and subscription:
            subscription.live = True
            for position in body.positions:
                subscription.join(position)
        elif kind == "gap" and subscription:
            if body.reason == "reset":
                subscription.cursor[body.stream] = [body.epoch, 0]
            elif body.to_seq:
                subscription.fresh(pb.Event(stream=body.stream, seq=body.to_seq))
            subscription.tell("gap", body)
        elif kind == "ping":
            self.status = "degraded" if body.broker == "down" else "online"
            for one, position in itertools.product(self.subscriptions.values(), body.positions):
                if one.live and one.cursor.get(position.stream, [None])[0] in ("", position.epoch):
                    one.join(position)
        elif kind == "token_expiring":
            asyncio.create_task(self._refresh())
        elif kind == "error":
            for one in self.subscriptions.values():
                if frame.reply_to and one.id == frame.reply_to:
                    one.tell("error", Refusal(body.code, body.message, body.retryable))
                    if body.retryable:
                        wait = (body.retry_after_ms or 1000) / 1000
                        asyncio.get_running_loop().call_later(wait, self._subscribe, one)

    async def _refresh(self):
        self._send(pb.ClientFrame(id=next(self.ids), refresh=pb.Refresh(token=await self.token("expiring"))))
