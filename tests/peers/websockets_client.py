"""websockets_client.py URL SUBPROTOCOL: the Python package `websockets` as a client.

Subscribes to `a`, listens until the node closes, and prints what it got as one line of JSON. Pings are answered by the
package itself.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

CONNECT_AND_SUBSCRIBE = {
    "notifier.v1.json": '{"connect":{}}\n{"id":1,"subscribe":{"subject":"a"}}',
    # Two ClientBatches, which together are one: connect (2), and id 1 with subscribe (3).
    "notifier.v1.proto": bytes.fromhex("0a021200" + "0a0708011a030a0161"),
}
BODIES = {2: "event", 3: "welcome", 4: "subscribed", 8: "ping", 9: "goaway"}
DATA_OF_EVENT = 10


def fields(message):
    """The fields of a protobuf message: pairs of number and content."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key, value = varint(), varint()
        if key & 7 == 2:
            at += value
            value = message[at - value : at]
        yield key >> 3, value


def frames(message):
    """The frames of a message: pairs of name and, for events, their data."""
    if isinstance(message, str):
        for line in message.split("\n"):
            frame = json.loads(line)
            name = next(name for name in frame if name != "replyTo")
            yield name, frame[name].get("data")
        return
    for _, frame in fields(message):
        number, body = next(field for field in fields(frame) if field[0] != 1)
        name = BODIES[number]
        data = dict(fields(body)).get(DATA_OF_EVENT) if name == "event" else None
        yield name, data and json.loads(data)


async def listen(url, subprotocol):
    # Offers permessage-deflate, as it does by default. It has no hook for pings; that it answers them is for the node
    # to say.
    async with connect(url, subprotocols=[subprotocol]) as socket:
        await socket.send(CONNECT_AND_SUBSCRIBE[subprotocol])
        kinds = {}  # in the order of their first appearance, without the ping, whose time is its own
        result = {"binary": False, "events": [], "largestBatch": 0, "heartbeats": 0}
        try:
            while True:
                message = await socket.recv()
                result["binary"] |= isinstance(message, bytes)
                batch = 0
                for name, data in frames(message):
                    if name == "ping":
                        result["heartbeats"] += 1
                    else:
                        kinds[name] = None
                    if name == "event":
                        result["events"].append(data)
                        batch += 1
                result["largestBatch"] = max(result["largestBatch"], batch)
        except ConnectionClosed:
            pass
        return result | {
            "protocol": socket.subprotocol,
            "extensions": socket.response.headers.get("Sec-WebSocket-Extensions", ""),
            "kinds": list(kinds),
            "code": socket.close_code,
            "reason": socket.close_reason,
        }


# Whoever started this may have failed and gone.
print(json.dumps(asyncio.run(asyncio.wait_for(listen(*sys.argv[1:]), timeout=60))))
