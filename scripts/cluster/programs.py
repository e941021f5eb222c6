"""Programs that run side by side, each with a log of its own."""

import asyncio
import contextlib
import signal
import socket
import urllib.error
import urllib.request

HOST = "127.0.0.1"
LOOK_SECONDS = 0.1


def free_ports(count):
    """Ports that nobody has now."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


def ask(url):
    """The body of a URL's answer with status 200; None otherwise."""
    with contextlib.suppress(OSError, urllib.error.HTTPError):
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.read().decode()
    return None


class Program:
    def __init__(self, name, folder, command, environment=None):
        self.name, self.command, self.environment = name, command, environment
        self.log = f"{folder}/{name}.log"
        self.process = None

    async def start(self):
        with open(self.log, "ab") as log:
            # A session of its own: Ctrl-C is for the one that started them, which ends them in order.
            self.process = await asyncio.create_subprocess_exec(
                *self.command, stdout=log, stderr=log, env=self.environment, start_new_session=True
            )

    def runs(self):
        return self.process is not None and self.process.returncode is None

    async def end(self, number=signal.SIGTERM, patience=30):
        """Sends a signal and waits; kills what does not end."""
        if not self.runs():
            return
        self.process.send_signal(number)
        try:
            await asyncio.wait_for(self.process.wait(), patience)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def until(self, url, patience=60, holds=bool):
        """Waits until a URL answers what holds, for as long as the program runs."""
        for _ in range(int(patience / LOOK_SECONDS)):
            answer = await asyncio.to_thread(ask, url)
            if answer is not None and holds(answer):
                return
            if not self.runs():
                break
            await asyncio.sleep(LOOK_SECONDS)
        with open(self.log, errors="replace") as log:
            said = "".join(log.readlines()[-20:])
        raise RuntimeError(f"{self.name} is not there: {url} does not answer as it should. {self.log} ends with:\n{said}")
