"""A cluster on this machine, without containers: three nats-servers with JetStream, nodes, HAProxy in front of them, and
Prometheus. Its files are those of deploy/compose, with the addresses of here."""

import asyncio
import csv
import os
import re
import resource
import shutil
import signal
import tempfile

from programs import HOST, Program, free_ports

SERVERS = 3
# Seconds, above `drain.grace` of deploy/compose/notifier.toml.
LEAVING = 20


class Node(Program):
    def __init__(self, number, folder, tools, nats_ports, settings):
        self.port, self.internal = free_ports(2)
        name = f"notifier-{number}"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("NOTIFIER_")}
        environment["NOTIFIER_NODE__NAME"] = name
        command = [tools.notifier, "serve", "--config", settings]
        command += ["--listen", f"{HOST}:{self.port}", "--internal-listen", f"{HOST}:{self.internal}"]
        for port in nats_ports:
            command += ["--nats", f"nats://{HOST}:{port}"]
        super().__init__(name, folder, command, environment)

    async def ready(self):
        await self.until(f"http://{HOST}:{self.internal}/readyz")


class Cluster:
    """`tools` has the paths of nats_server, notifier, haproxy and prometheus, and of the repository."""

    def __init__(self, tools, nodes=2, port=0, prometheus_port=0, surge=False):
        self.folder = tempfile.mkdtemp(prefix="notifier-cluster-")
        self.tools = tools
        free = free_ports(3 * SERVERS + 3)
        self.nats_ports, monitors, routes = free[:SERVERS], free[SERVERS : 2 * SERVERS], free[2 * SERVERS : 3 * SERVERS]
        self.port, self.prometheus_port = port or free[-3], prometheus_port or free[-2]
        self.statistics = free[-1]
        peers = ",".join(f"nats://{HOST}:{route}" for route in routes)
        self.servers = []
        for number in range(SERVERS):
            name = f"nats-{number + 1}"
            command = [tools.nats_server, f"--name={name}", f"--addr={HOST}", f"--port={self.nats_ports[number]}"]
            command += ["--cluster_name=notifier", f"--cluster=nats://{HOST}:{routes[number]}", f"--routes={peers}"]
            command += ["--jetstream", f"--store_dir={self.folder}/{name}", f"--http_port={monitors[number]}"]
            server = Program(name, self.folder, command)
            server.health = f"http://{HOST}:{monitors[number]}/healthz"
            self.servers.append(server)
        settings = self.take("notifier.toml")
        made = [
            Node(number + 1, self.folder, tools, self.nats_ports, settings) for number in range((1 + surge) * nodes)
        ]
        # With a surge the places of the next nodes, which the balancer knows and finds empty.
        self.nodes, self.next = made[:nodes], made[nodes:]
        self.balancer = Program("haproxy", self.folder, [tools.haproxy, "-db", "-f", self.balancing()])
        command = [tools.prometheus, f"--config.file={self.scraping()}", f"--storage.tsdb.path={self.folder}/prometheus"]
        command += [f"--web.listen-address={HOST}:{self.prometheus_port}", "--log.level=warn"]
        self.prometheus = Program("prometheus", self.folder, command)

    @property
    def url(self):
        return f"http://{HOST}:{self.port}"

    @property
    def prometheus_url(self):
        return f"http://{HOST}:{self.prometheus_port}"

    def take(self, name, *changes):
        """A file of deploy/compose with changes, each of which has to find its place."""
        with open(f"{self.tools.repository}/deploy/compose/{name}") as file:
            text = file.read()
        for pattern, replacement in changes:
            text, count = re.subn(pattern, lambda _: replacement, text, flags=re.MULTILINE)
            if not count:
                raise RuntimeError(f"deploy/compose/{name} has nothing like {pattern}")
        path = f"{self.folder}/{name}"
        with open(path, "w") as file:
            file.write(text)
        return path

    def balancing(self):
        # Two descriptors for each client, and some.
        most = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500) // 2
        lines = [f"  server {node.name} {HOST}:{node.port} check port {node.internal}" for node in self.nodes + self.next]
        return self.take(
            "haproxy.cfg",
            (r"^  maxconn .*$", f"  maxconn {min(most, 20000)}"),
            (r"^  bind :8080$", f"  bind {HOST}:{self.port}"),
            (r"^  bind :8404$", f"  bind {HOST}:{self.statistics}"),
            (r"(^  server .*\n)+", "\n".join(lines) + "\n"),
        )

    def scraping(self):
        targets = ", ".join(f'"{HOST}:{node.internal}"' for node in self.nodes + self.next)
        return self.take(
            "prometheus.yaml",
            (r"targets: \[.*\]", f"targets: [{targets}]"),
            (r"/etc/prometheus/rules", f"{self.tools.repository}/deploy/prometheus"),
        )

    async def start(self):
        await asyncio.gather(*(server.start() for server in self.servers))
        await asyncio.gather(*(server.until(server.health) for server in self.servers))
        await asyncio.gather(self.balancer.start(), self.prometheus.start())
        await self.come(*self.nodes)
        await self.prometheus.until(f"{self.prometheus_url}/-/ready")

    async def balanced(self, node):
        """Waits until the balancer sends clients to a node."""

        def up(statistics):
            rows = csv.DictReader(statistics.removeprefix("# ").splitlines())
            return any(row["svname"] == node.name and row["status"] == "UP" for row in rows)

        await self.balancer.until(f"http://{HOST}:{self.statistics}/;csv", holds=up)

    async def roll(self, number=signal.SIGTERM):
        """Replaces each node, one after the other, and tells which; with SIGKILL none of them leaves in order. With a surge
        all new ones come first."""
        if self.next:
            await self.come(*self.next)
            yield f"{len(self.next)} new nodes are there, the old ones leave"
            self.nodes, self.next = self.next, self.nodes
            await asyncio.gather(*(node.end(number, LEAVING) for node in self.next))
            yield "the old ones have left"
            return
        for node in self.nodes:
            yield f"{node.name} leaves"
            await node.end(number, LEAVING)
            await self.come(node)
            yield f"{node.name} is back"

    async def come(self, *nodes):
        await asyncio.gather(*(node.start() for node in nodes))
        await asyncio.gather(*(node.ready() for node in nodes))
        await asyncio.gather(*(self.balanced(node) for node in nodes))

    async def end(self):
        """The balancer first: without clients nodes leave at once."""
        await self.balancer.end(patience=2)
        await asyncio.gather(self.prometheus.end(), *(node.end(patience=LEAVING) for node in self.nodes + self.next))
        await asyncio.gather(*(server.end(patience=5) for server in self.servers))
        shutil.rmtree(self.folder, ignore_errors=True)
