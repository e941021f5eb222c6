"""Clients that do a little of everything a dashboard shows, over WebSocket and HTTP, for some seconds."""

import asyncio
import json
import random
import socket

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SUBSCRIPTIONS = [
    {"subject": "load.live.>"},
    {"subject": "load.live.*"},  # overlaps: redundant copies
    {"subject": "load.stored.>", "after": [{"stream": "STORED", "epoch": "1", "seq": 1}]},  # of no epoch: all is replayed
]


async def page(node, seconds):
    """A page: subscribes, reads, publishes now and then, asks a service that is not there, and makes a mistake."""
    async with connect(f"{node}/v1/ws", subprotocols=["notifier.v1.json"]) as page:
        send = lambda frame: page.send(json.dumps(frame))
        await send({"id": 1, "connect": {"client": {"name": "load"}, "subscriptions": SUBSCRIPTIONS}})
        reading = asyncio.create_task(read(page))
        deadline = asyncio.get_running_loop().time() + seconds
        number = 2
        while asyncio.get_running_loop().time() < deadline:
            kind = random.choice(["live", "live", "stored"])
            event = {"data": {"n": number}, "id": f"{id(page)}-{number}"}
            await send({"id": number, "publish": {"subject": f"load.{kind}.{number % 5}", "event": event}})
            if number % 10 == 0:
                await send({"id": number, "request": {"subject": "load.ask", "event": {}, "timeoutMs": 500}})
                await send({"id": number, "fetch": {"subject": "load.stored.>", "limit": 10}})
                await send({"id": number, "subscribe": {"subject": "load..mistake"}})
            number += 1
            await asyncio.sleep(random.uniform(0.05, 0.3))
        reading.cancel()


async def read(page):
    async for text in page:
        for line in filter(None, text.split("\n")):
            if "ping" in json.loads(line):
                await page.send('{"pong":{}}')


async def pages(nodes, seconds):
    """Pages that come and go: each stays for a few seconds, then another one takes its place."""
    deadline = asyncio.get_running_loop().time() + seconds
    while (left := deadline - asyncio.get_running_loop().time()) > 0.5:
        try:
            await page(random.choice(nodes), min(left, random.uniform(2, 8)))
        except (OSError, ConnectionClosed):
            await asyncio.sleep(0.5)


def no_http(node):
    """Something else than HTTP knocks."""
    host, port = node.removeprefix("ws://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as knock:
        knock.sendall(b"nothing\r\n\r\n")
        knock.recv(1000)


async def knocks(node):
    while True:
        await asyncio.to_thread(no_http, node)
        await asyncio.sleep(1)


async def load(nodes, seconds, clients=20):
    knocking = asyncio.create_task(knocks(nodes[0]))
    await asyncio.gather(*(pages(nodes, seconds) for _ in range(clients)))
    knocking.cancel()
