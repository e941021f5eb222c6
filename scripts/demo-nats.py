#!/usr/bin/env python3
"""The sample shop on a nats-server and two nodes: starts them, and balances the connections of one address over them.

`POST /demo/kill/NAME` kills the node of that name as `kill -9` does. It is started again some seconds later. Ends with
Ctrl-C, and with it all that it has started. Connections are balanced one request each, except WebSockets.
"""

import argparse
import asyncio
import contextlib
import secrets
import shutil
import signal
import socket
import tempfile

HOST = "127.0.0.1"
RESTART_SECONDS = 5
DIAL_SECONDS = 2
HEAD_BYTES = 32 * 1024
KILL = b"/demo/kill/"


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Program:
    """A process that is started again when it ends."""

    def __init__(self, *command):
        self.command = command
        self.process = None

    async def keep(self):
        while True:
            self.process = await asyncio.create_subprocess_exec(*self.command, stdout=asyncio.subprocess.DEVNULL)
            try:
                await self.process.wait()
            finally:
                self.kill()
            await asyncio.sleep(RESTART_SECONDS)

    def kill(self):
        if self.process and self.process.returncode is None:
            self.process.kill()


class Node(Program):
    def __init__(self, binary, name, nats_port, secret_file):
        self.name, self.port = name, free_port()
        # Either node takes the tokens of the other one's login.
        common = ["--nats", f"nats://{HOST}:{nats_port}", "--secret-file", secret_file]
        listen = ["--listen", f"{HOST}:{self.port}", "--internal-listen", f"{HOST}:{free_port()}"]
        super().__init__(binary, "dev", "--name", name, *common, *listen)


class Balancer:
    def __init__(self, nodes):
        self.nodes, self.turn = nodes, 0

    async def dial(self):
        """A connection to the next node that takes it."""
        turn = self.turn
        # Others dial at the same time: whoever is refused goes on from its own turn.
        self.turn += 1
        for step in range(len(self.nodes)):
            node = self.nodes[(turn + step) % len(self.nodes)]
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                return await asyncio.wait_for(asyncio.open_connection(HOST, node.port), DIAL_SECONDS)
        return None

    def kill(self, name):
        node = next((node for node in self.nodes if node.name == name), None)
        if node is None:
            return b"404 Not Found"
        node.kill()
        return b"204 No Content"

    async def serve(self, reader, writer):
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self.forward(reader, writer)
        finally:
            writer.close()

    async def forward(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        verb, path, *_ = head.split(b" ", 2)
        if verb == b"POST" and path.startswith(KILL):
            status = self.kill(path.removeprefix(KILL).decode(errors="replace"))
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
            return
        node = await self.dial()
        if node is None:
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
            return
        # Only a WebSocket stays: the next request may be for this program, or for another node.
        if b"upgrade: websocket" not in head.lower():
            lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
            head = b"\r\n".join([*lines, b"connection: close"]) + b"\r\n\r\n"
        node[1].write(head)
        await both_ways((reader, writer), node)


async def both_ways(client, node):
    """Carries bytes until one side ends, and then ends the other one."""

    async def carry(reader, writer):
        with contextlib.suppress(OSError):
            while piece := await reader.read(HEAD_BYTES):
                writer.write(piece)
                await writer.drain()

    tasks = [asyncio.create_task(carry(client[0], node[1])), asyncio.create_task(carry(node[0], client[1]))]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    node[1].close()


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nats_server")
    parser.add_argument("notifier")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="notifier-demo-")
    nats_port = free_port()
    nats = Program(arguments.nats_server, "-a", HOST, "-p", str(nats_port), "-js", "-sd", folder, "-l", f"{folder}/log")
    secret_file = f"{folder}/secret"
    with open(secret_file, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    nodes = [Node(arguments.notifier, name, nats_port, secret_file) for name in ("anna", "bert")]
    programs = [asyncio.create_task(program.keep()) for program in (nats, *nodes)]
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        server = await asyncio.start_server(Balancer(nodes).serve, HOST, arguments.port, limit=HEAD_BYTES)
        print(f"The sample shop runs on NATS, with two nodes behind http://{HOST}:{arguments.port}/?nodes", flush=True)
        async with server:
            await stop.wait()
    finally:
        for task in programs:
            task.cancel()
        await asyncio.gather(*programs, return_exceptions=True)
        shutil.rmtree(folder, ignore_errors=True)


asyncio.run(main())
