"""Rolls a cluster under clients of durable subjects and constant publishing, and judges: 0 lost, 0 twice."""

import asyncio
import collections
import itertools
import time
import urllib.parse

from clients import Socket, Stream, judge
from cluster import Cluster
from nats import Publisher

PATIENCE = 30  # seconds for all clients to be live, and for the last event to reach them
# Longer than this no client may be without a live subscription: a client comes back within a fraction of a second, and
# stands behind all others of its node.
WITHOUT = 5.0


def controls():
    """Whether the judge finds what it is there for."""
    assert judge([1, 2, 3], [1, 2, 3]) == (0, 0, 0)
    assert judge([1, 2, 3], [1, 3]) == (1, 0, 0), "an event that is lost is not found"
    assert judge([1, 2, 3], [1, 2, 2, 3]) == (0, 1, 0), "an event that comes twice is not found"
    assert judge([1, 2, 3], [1, 3, 2]) == (0, 0, 1), "another order is not found"


async def publish(cluster, owed, rate, enough):
    async with Publisher(cluster.nats_ports[0]) as publisher:
        begun = time.monotonic()
        for number in itertools.count():
            if enough.is_set():
                return
            owed.append(await publisher.publish(f"shop.cart.u{number % 50}", {"number": number}))
            await asyncio.sleep(begun + (number + 1) / rate - time.monotonic())


async def rolled(cluster, clients, rate, rounds, number):
    owed = []
    running = [asyncio.create_task(client.run()) for client in clients]
    # Instead of a cancellation: each event that was sent is to be acknowledged, and so owed.
    enough = asyncio.Event()
    try:
        everybody = asyncio.gather(*(client.live.wait() for client in clients))
        await asyncio.wait([everybody, *running], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        failed(running)
        if not everybody.done():
            everybody.cancel()
            raise RuntimeError(f"{sum(not client.live.is_set() for client in clients)} clients are not live")
        publishing = asyncio.create_task(publish(cluster, owed, rate, enough))
        running.append(publishing)
        begun = time.monotonic()
        for _ in range(rounds):
            async for said in cluster.roll(number):
                print(f"{time.monotonic() - begun:6.1f} s  {said}", flush=True)
                await asyncio.sleep(0.5)
                failed(running)
        enough.set()
        await publishing
        deadline = time.monotonic() + PATIENCE
        while any(not client.received or client.received[-1] < owed[-1] for client in clients):
            failed(running)
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        # Time for repetitions to arrive.
        await asyncio.sleep(0.5)
    finally:
        enough.set()
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=PATIENCE)
    return owed


def failed(tasks):
    """Raises what a client or the publisher has failed with; they run on otherwise."""
    for task in tasks:
        if task.done():
            task.result()


def report(clients, owed, most):
    """Prints what came of it; returns whether everybody got everything once, and nobody moved more often than `most`."""
    good = bool(owed)
    for kind in sorted({client.kind for client in clients}):
        own = [client for client in clients if client.kind == kind]
        verdicts = [judge(owed, client.received) for client in own]
        lost, twice, disordered = (sum(counts) for counts in zip(*verdicts))
        gaps = sum(len(client.gaps) for client in own)
        longest = max(client.longest for client in own)
        print(f"{len(own)} by {kind}: {lost} lost, {twice} twice, {disordered} in another order, {gaps} gaps")
        moves = collections.Counter(client.connections - 1 for client in own)
        shares = ", ".join(f"{count} clients {number}" for number, count in sorted(moves.items()))
        print(f"  reconnects: {shares}; longest time without a live subscription {longest:.2f} s")
        good = good and not any((lost, twice, disordered, gaps)) and longest <= WITHOUT and max(moves) <= most
    print(f"{len(owed)} events published")
    return good


async def check(tools, options):
    controls()
    cluster = Cluster(tools, options.nodes, surge=options.surge)
    try:
        await cluster.start()
        address = cluster.url.removeprefix("http://")
        clients = [(Socket if number % 2 else Stream)(address) for number in range(options.clients)]
        for client in clients:
            client.shift = {"lost": 1, "twice": -1}.get(options.fault, 0)
        owed = await rolled(cluster, clients, options.rate, options.rounds, options.signal)
        # Every node has to be scraped, by the file that Compose mounts.
        count = "count(up{job='notifier'} == 1)"
        url = f"{cluster.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': count})}"
        await cluster.prometheus.until(url, PATIENCE, lambda answer: f'"{options.nodes}"]' in answer)
        # Where all new nodes come first there is only one to move to. Otherwise a client may meet every node.
        return report(clients, owed, options.rounds * (1 if options.surge else options.nodes))
    finally:
        await cluster.end()
