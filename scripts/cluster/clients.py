"""Clients of durable subjects, as simple as the protocol allows: one that is told to move ends its connection and resumes
from its position, so whatever comes twice was sent twice."""

import asyncio
import json
import random
import time

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException

PATTERN = "shop.cart.>"


class Client:
    def __init__(self, address):
        self.address = address
        self.received = []  # sequences, in the order of arrival
        self.connections = 0
        self.gaps = []
        self.longest = 0.0  # seconds without a live subscription, once there was one
        self.live = asyncio.Event()
        self.gone = None
        self.shift = 0  # of the position from which a WebSocket resumes: a fault, for trying the judge

    async def run(self):
        while True:
            try:
                await self.connection()
            except (OSError, WebSocketException, EOFError, asyncio.TimeoutError):
                pass
            if self.live.is_set() and self.gone is None:
                self.gone = time.monotonic()
            # As the protocol asks: not all at the same moment.
            await asyncio.sleep(random.uniform(0.05, 0.25))

    def subscribed(self):
        self.connections += 1
        if self.gone is not None:
            self.longest = max(self.longest, time.monotonic() - self.gone)
            self.gone = None
        self.live.set()

    def take(self, frame):
        """Returns whether the connection goes on."""
        events = frame.get("replay", {}).get("events", [])
        if "event" in frame:
            events = [frame["event"]]
        self.received += [event["seq"] for event in events]
        if "gap" in frame:
            self.gaps.append(frame["gap"])
        if "subscribed" in frame:
            self.subscribed()
        if frame.get("error", {}).get("retryable") is False:
            raise RuntimeError(f"a client is refused: {frame['error']}")
        return "goaway" not in frame


class Socket(Client):
    """By WebSocket."""

    kind = "WebSocket"
    epoch = None

    async def connection(self):
        after = [{"stream": "SHOP", "epoch": self.epoch, "seq": self.position + self.shift}] if self.epoch else []
        begin = {"id": 1, "connect": {"subscriptions": [{"id": 2, "subject": PATTERN, "after": after}]}}
        url = f"ws://{self.address}/v1/ws"
        async with connect(url, subprotocols=["notifier.v1.json"], compression=None, close_timeout=1) as socket:
            await socket.send(json.dumps(begin))
            async for message in socket:
                for line in message.split("\n"):
                    if not self.take(json.loads(line)):
                        return

    def take(self, frame):
        for position in frame.get("subscribed", {}).get("positions", []):
            self.epoch, self.position = position["epoch"], position.get("seq", 0)
        before = len(self.received)
        goes_on = super().take(frame)
        self.position = max([getattr(self, "position", 0), *self.received[before:]])
        return goes_on


class Stream(Client):
    """By an event stream."""

    kind = "event stream"
    last = None

    async def connection(self):
        reader, writer = await asyncio.open_connection(*self.address.split(":"), limit=2**20)
        try:
            head = f"GET /v1/events?subject={PATTERN.replace('>', '%3E')} HTTP/1.1\r\nHost: {self.address}\r\n"
            head += "Accept: text/event-stream\r\n"
            if self.last:
                head += f"Last-Event-ID: {self.last}\r\n"
            writer.write(head.encode() + b"\r\n")
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if not answer.startswith("http/1.1 200"):
                raise EOFError(answer.splitlines()[0])
            name, data = None, []
            async for line in lines(reader, "transfer-encoding: chunked" in answer):
                if line.startswith("id: "):
                    name = line[4:]
                elif line.startswith("data: "):
                    data.append(line[6:])
                elif not line:
                    # A message counts, and its id, once its empty line has come.
                    self.last = name or self.last
                    if not all([self.take(json.loads(one)) for one in data]):
                        return
                    data = []
        finally:
            writer.close()


async def lines(reader, chunked):
    """The lines of a body."""
    rest = b""
    while True:
        if chunked:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            piece = (await reader.readexactly(size + 2))[:-2]
        else:
            piece = await reader.read(2**16)
        if not piece:
            return
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode()


def judge(owed, received):
    """How many are lost, how many came twice, and how many came in another order."""
    known = set(received)
    lost = len(set(owed) - known)
    twice = len(received) - len(known)
    return lost, twice, sum(1 for one, next_one in zip(received, received[1:]) if next_one < one)
