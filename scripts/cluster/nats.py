"""Publishing to JetStream as a service does: each event is acknowledged with its place in the stream."""

import asyncio
import json

from programs import HOST

PATIENCE = 10  # seconds; an election of leaders takes one or two


class Publisher:
    """One connection, one event after the other."""

    def __init__(self, port):
        self.port, self.count = port, 0

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(HOST, self.port)
        self.writer.write(b'CONNECT {"verbose":false,"headers":true}\r\nSUB _INBOX.cluster.* 1\r\nPING\r\n')
        await self.reader.readuntil(b"PONG\r\n")
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def publish(self, subject, data):
        """Returns the event's sequence; publishes again what is not acknowledged, and its id keeps it from being twice."""
        self.count += 1
        head = b"NATS/1.0\r\nNats-Msg-Id: %d\r\n\r\n" % self.count
        inbox, body = f"_INBOX.cluster.{self.count}".encode(), json.dumps(data).encode()
        size = len(head), len(head) + len(body)
        frame = b"HPUB %s %s %d %d\r\n%s%s\r\n" % (subject.encode(), inbox, *size, head, body)
        for _ in range(3):
            self.writer.write(frame)
            try:
                return await asyncio.wait_for(self.acknowledged(inbox), PATIENCE)
            except asyncio.TimeoutError:
                continue
        raise RuntimeError(f"the stream does not acknowledge event {self.count}")

    async def acknowledged(self, inbox):
        while True:
            verb, *rest = (await self.reader.readuntil(b"\r\n")).split()
            if verb == b"PING":
                self.writer.write(b"PONG\r\n")
            elif verb in (b"MSG", b"HMSG"):
                body = (await self.reader.readexactly(int(rest[-1]) + 2))[:-2]
                # A status, such as 503 while there is no leader, is not JSON: the same event is sent again.
                if rest[0] == inbox and verb == b"MSG":
                    answer = json.loads(body)
                    if "seq" in answer:
                        return answer["seq"]
            elif verb == b"-ERR":
                raise RuntimeError(f"nats-server says {b' '.join(rest).decode()}")
