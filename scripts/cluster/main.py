"""A cluster on this machine: `up` starts it and stays, `roll` and `kill` speak to the one that is up, `check` starts one
of its own, rolls it under clients, and judges. scripts/cluster.sh says where the tools are."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys

from check import check
from cluster import Cluster

# Short, and below the repository, where `roll` finds it: the path of such a socket has 107 bytes at most.
CONTROL = ".cache/cluster.sock"


async def up(tools, arguments):
    cluster = Cluster(tools, arguments.nodes, arguments.port, arguments.prometheus_port)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def answer(reader, writer):
        """One command; each line of the answer is a step."""
        verb = (await reader.readline()).decode().strip()
        number = signal.SIGKILL if verb == "kill" else signal.SIGTERM
        with contextlib.suppress(ConnectionError):
            async for said in cluster.roll(number):
                writer.write(f"{said}\n".encode())
                await writer.drain()
        writer.close()

    starting = asyncio.create_task(cluster.start())
    try:
        # Ctrl-C counts while it starts, too.
        await asyncio.wait([starting, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            starting.result()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(CONTROL)
            os.makedirs(os.path.dirname(CONTROL), exist_ok=True)
            server = await asyncio.start_unix_server(answer, CONTROL)
            own = os.stat(CONTROL).st_ino
            print(announcement(cluster), flush=True)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), arguments.seconds)
            server.close()
            # Of several clusters the newest listens there.
            with contextlib.suppress(FileNotFoundError):
                if os.stat(CONTROL).st_ino == own:
                    os.unlink(CONTROL)
    finally:
        starting.cancel()
        print("ending", file=sys.stderr)
        await cluster.end()


def announcement(cluster):
    nodes = "\n".join(f"  {node.name}   http://127.0.0.1:{node.internal}/metrics" for node in cluster.nodes)
    return f"""Three nats-servers, {len(cluster.nodes)} nodes and a balancer are running.

  clients      {cluster.url.replace("http", "ws")}/v1/ws
  balancer     http://127.0.0.1:{cluster.statistics}/
  Prometheus   {cluster.prometheus_url}/
  NATS         {", ".join(f"nats://127.0.0.1:{port}" for port in cluster.nats_ports)}
{nodes}
  logs         {cluster.folder}

Try next, in other terminals:

  target/release/notifier sub 'shop.cart.>' --node {cluster.url.replace("http", "ws")}
  target/release/notifier pub shop.cart.u42 '{{"qty":2}}' --node {cluster.url.replace("http", "ws")}
  make cluster-roll
"""


async def tell(verb):
    """Has the cluster that is up do something."""
    try:
        reader, writer = await asyncio.open_unix_connection(CONTROL)
    except OSError:
        sys.exit("no cluster is up: `make cluster` starts one")
    writer.write(f"{verb}\n".encode())
    async for line in reader:
        print(line.decode(), end="", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for tool in "nats_server", "notifier", "haproxy", "prometheus", "repository":
        parser.add_argument(f"--{tool.replace('_', '-')}")
    verbs = parser.add_subparsers(dest="verb", required=True)
    of_up = verbs.add_parser("up", help="start a cluster; Ctrl-C ends it")
    of_up.add_argument("--nodes", type=int, default=2)
    of_up.add_argument("--seconds", type=float, help="end after this many")
    of_up.add_argument("--port", type=int, default=8080, help="of the balancer")
    of_up.add_argument("--prometheus-port", type=int, default=9095)
    verbs.add_parser("roll", help="replace each node of the cluster that is up, as a rollout does")
    verbs.add_parser("kill", help="the same, as kill -9 does")
    of_check = verbs.add_parser("check", help="roll a cluster under clients: 0 lost, 0 twice")
    of_check.add_argument("--nodes", type=int, default=3)
    of_check.add_argument("--clients", type=int, default=100)
    of_check.add_argument("--rate", type=float, default=40, help="events per second")
    of_check.add_argument("--rounds", type=int, default=1)
    end = {"dest": "signal", "action": "store_const", "const": signal.SIGKILL, "default": signal.SIGTERM}
    of_check.add_argument("--kill", help="nodes do not leave in order, as with kill -9", **end)
    of_check.add_argument("--surge", action="store_true", help="all new nodes first, so that every client moves once")
    of_check.add_argument("--fault", choices=["lost", "twice"], help="clients resume from a wrong position: it has to fail")
    arguments = parser.parse_args()
    os.chdir(arguments.repository)
    if arguments.verb in ("roll", "kill"):
        asyncio.run(tell(arguments.verb))
        return
    try:
        if arguments.verb == "up":
            asyncio.run(up(arguments, arguments))
        elif not asyncio.run(check(arguments, arguments)):
            sys.exit("it did not hold")
    except RuntimeError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
