"""cloudevents_client.py NODE NATS: the official CloudEvents SDK for Python.

Publishes events to the node and to NATS in both modes, reads them from an event stream, and prints for each what went in
and what came out, as one line of JSON.
"""

import asyncio
import json
import sys
from datetime import datetime, timedelta, timezone
from urllib.request import Request, urlopen

import nats
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent

TIME = datetime(2026, 11, 22, 10, 0, 0, 123456, timezone(timedelta(hours=1)))
DATA = {
    "application/json": {"qty": 2, "name": "mug \u00fc"},
    "text/plain": "two mugs\n\u00fc",
    "image/png": b"\x89PNG\xff",
}


def events(way):
    for content_type, data in DATA.items():
        attributes = {
            "id": f"{way} {content_type} \u00fc",
            "source": "/carts/\u00fc 50%",
            "type": "shop.cart.changed",
            "subject": "u42",
            "time": TIME,
            "datacontenttype": content_type,
            "dataschema": "https://shop.example/cart.json",
            "tenant": "blue \"one\"",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        }
        yield CloudEvent(attributes, data)


def over_http(node, message):
    urlopen(Request(f"{node}/v1/publish/ce.python", data=message.body, headers=message.headers), timeout=20).read()


async def over_nats(url, messages):
    client = await nats.connect(url)
    for message in messages:
        await client.publish("ce.python", message.body, headers=message.headers)
    await client.close()


def read(stream):
    """The next message of an event stream: its name and its data."""
    name, data = "", None
    for line in stream:
        line = line.decode().rstrip("\n")
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            data = line[6:]
        elif not line and data is not None:
            return name, data
    raise EOFError("the event stream has ended")


def shown(event):
    data = event.get_data()
    if isinstance(data, bytes):
        data = data.hex()
    attributes = {name: str(value) for name, value in event.get_attributes().items()}
    return {**attributes, "data": data}


node, broker = sys.argv[1:]
stream = urlopen(f"{node}/v1/events?subject=ce.python&format=cloudevents", timeout=20)
while read(stream)[0] != "subscribed":
    pass
sent = []
for way, to_message in [("binary", to_binary_event), ("structured", to_structured_event)]:
    for event in events(f"http-{way}"):
        sent.append(event)
        over_http(node, to_message(event))
    others = list(events(f"nats-{way}"))
    sent.extend(others)
    asyncio.run(over_nats(broker, [to_message(event) for event in others]))
result, expected = [], {event.get_id(): event for event in sent}
while len(result) < len(sent):
    name, data = read(stream)
    if not name:
        message = HTTPMessage({"content-type": "application/cloudevents+json"}, data.encode())
        event = from_structured_event(message)
        result.append({"sent": shown(expected[event.get_id()]), "got": shown(event)})
print(json.dumps(result))
