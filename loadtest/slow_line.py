"""slow_line.py HOST:PORT BYTES_PER_SECOND: passes each connection on, and from there back no more bytes than that.

Prints its own address, a free port of this machine. So a client of it reads slowly, whatever it does itself.
"""

import asyncio
import socket
import sys

SOME = 4096  # bytes: little is under way, so that the sender notices at once


async def backwards(reader, writer, per_second):
    """Reads no faster than the line is."""
    while data := await reader.read(SOME):
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(len(data) / per_second)
    writer.close()


async def forwards(reader, writer):
    while data := await reader.read(SOME):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main(address, per_second):
    host, port = address.rsplit(":", 1)

    async def carry(reader, writer):
        far = socket.socket()
        # Before connecting: the window that the other side sees is settled then.
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * SOME)
        far.setblocking(False)
        await asyncio.get_running_loop().sock_connect(far, (host, int(port)))
        far_reader, far_writer = await asyncio.open_connection(sock=far, limit=SOME)
        both = forwards(reader, far_writer), backwards(far_reader, writer, per_second)
        await asyncio.gather(*both, return_exceptions=True)

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    print("%s:%d" % server.sockets[0].getsockname(), flush=True)
    await server.serve_forever()


if len(sys.argv) != 3:
    sys.exit(__doc__)
try:
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
except KeyboardInterrupt:
    pass
