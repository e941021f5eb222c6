// Networks that do anything but carry a WebSocket, before real nodes: a page is carried by something else in time, and comes
// back to a WebSocket as soon as one is welcome.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, it } from 'node:test';
import { type Client, createClient } from '../src/client.js';
import { BLOCKED, World } from './real.js';
import { hurry, pause, until } from './wait.js';
import { startWorkers } from './worker.js';
import { SOCKET } from './world.js';

/** Until a page has its data, whatever is done to its WebSocket, milliseconds: 4 s, and twice that on a machine that is busy. */
const CARRIED_MS = 8_000;

let world: World;
before(async () => {
  // Node 20 has none; one that is handed over is never replaced.
  Object.assign(globalThis, { WebSocket: SOCKET });
  world = await World.start(2);
});
after(async () => world?.stop());

type Tested = Client & { close(): void };
const way = (client: Client): string | undefined => {
  const { status, transport = 'websocket' } = client.inspect().status;
  return status === 'online' && client.inspect().subscriptions.every(({ state }) => state === 'live') ? transport : undefined;
};

void it('whatever a network does to WebSockets, a page has its data within 4 s, and a WebSocket once one is welcome', async (t) => {
  await world.publish('d.blocked', 0, 'blocked-0');
  const restore = hurry();
  const begun = Date.now();
  const pages = BLOCKED.map((kind) => {
    const page = { kind, client: createClient({ url: `${world.url}?${kind}` }), heard: [] as unknown[], took: 0, seen: new Set<string>() };
    page.client.subscribe('d.blocked', ({ data }) => {
      page.took ||= Date.now() - begun;
      page.heard.push(data);
    }, { snapshot: true });
    return page;
  });
  try {
    await until(() => pages.every(({ took }) => took), 'all are carried', CARRIED_MS + 2_000);
    t.diagnostic(pages.map(({ kind, took }) => `${kind} ${took} ms`).join(', '));
    for (const { kind, client, took } of pages) assert.deepEqual([kind, way(client), took < CARRIED_MS], [kind, 'events', true], `${took} ms`);
    for (const { client, seen } of pages) client.status.subscribe(({ status }) => seen.add(status));
    world.webSockets = 'pass';
    for (const socket of world.hanging) socket.destroy();
    let number = 0;
    const isBack = (): boolean => pages.every(({ client }) => way(client) === 'websocket');
    while (!isBack() && Date.now() < begun + 15_000) await world.publish('d.blocked', ++number, `blocked-${number}`);
    await world.publish('d.blocked', ++number, `blocked-${number}`);
    const expected = Array.from({ length: number + 1 }, (_, i) => i);
    for (const { kind, client, heard, seen } of pages) {
      await until(() => heard.at(-1) === number, `${kind} hears all`);
      assert.deepEqual([kind, way(client), [...seen]], [kind, 'websocket', ['online']]);
      assert.deepEqual(heard, expected, kind);
    }
  } finally {
    restore();
    world.webSockets = undefined;
    pages.forEach(({ client }) => client.close());
  }
});

void it('a node that is slow to welcome carries its page by a WebSocket all the same', async () => {
  // The proxy lets nothing through at first.
  world.webSockets = 'swallowed';
  const client = createClient({ url: world.url });
  const restore = hurry();
  try {
    await client.subscribe('d.slow', () => {}).ready;
    assert.equal(way(client), 'events');
    world.heal();
    await until(() => way(client) === 'websocket', 'a WebSocket');
    // Nothing is remembered: the next connection is a WebSocket at once.
    const { dials } = client.inspect().counters;
    await pause(1_000);
    for (const socket of world.sockets) socket.destroy();
    await until(() => way(client) === undefined, 'it is cut');
    await until(() => way(client) === 'websocket', 'it is back');
    assert.equal(client.inspect().counters.dials, dials + 1);
  } finally {
    restore();
    client.close();
  }
});

void it('what a node says by HTTP counts for a WebSocket that hangs: a token is asked for once more, and its refusal ends the page', async () => {
  const node = createServer((_, response) => {
    response.writeHead(401, { 'content-type': 'application/json' }).end('{"error":{"code":"unauthorized","message":"m"}}');
  });
  // Upgrades get no answer.
  const sockets: Duplex[] = [];
  node.on('upgrade', (_, socket) => void sockets.push(socket.on('error', () => {}).on('end', () => socket.destroy()).resume()));
  node.listen(0, '127.0.0.1');
  await once(node, 'listening');
  const reasons: string[] = [];
  const url = `ws://127.0.0.1:${(node.address() as AddressInfo).port}/v1/ws`;
  const client = createClient({ url, token: ({ reason }) => (reasons.push(reason), 'token') });
  try {
    client.subscribe('d.refused', () => {});
    await until(() => client.status.getSnapshot().status === 'unauthorized', 'it ends', 20_000);
    assert.deepEqual(reasons, ['connect', 'rejected']);
    await until(() => sockets.every((socket) => socket.destroyed), 'nothing is dialled any more');
  } finally {
    client.close();
    node.close();
    sockets.forEach((socket) => socket.destroy());
  }
});

/** A page behind a proxy that refuses WebSockets, and holds event streams back. */
async function polling(run: (client: Tested) => Promise<void>): Promise<void> {
  world.webSockets = 'refused';
  world.holdsBack = true;
  const client = createClient({ url: world.url });
  try {
    await run(client);
  } finally {
    world.heal();
    client.close();
  }
}

void it('where event streams are held back a page is carried by polls, within 4 s', () =>
  polling(async (client) => {
    const begun = Date.now();
    const heard: unknown[] = [];
    await client.subscribe('d.poll.a', ({ data }) => heard.push(data)).ready;
    assert.ok(Date.now() - begun < CARRIED_MS, `${Date.now() - begun} ms`);
    assert.equal(way(client), 'poll');
    let sent = 0;
    const publish = async (count: number): Promise<void> => {
      for (const end = sent + count; sent < end; ) {
        const number = ++sent;
        await client.publish('d.poll.a', number);
      }
    };
    // Patterns that come and go meanwhile cost nothing of what the first one hears.
    const live: unknown[] = [];
    const values: unknown[] = [];
    await Promise.all([publish(10), client.subscribe('x.poll', ({ data }) => live.push(data)).ready]);
    const wide = client.subscribe('d.poll.>', () => {});
    await Promise.all([publish(10), wide.ready]);
    wide.unsubscribe();
    await until(() => {
      void client.publish('x.poll', 'live');
      return live.length;
    }, 'a live event, while a poll waits');
    await client.publish('p.poll', { a: 1 });
    await client.subscribe('p.poll', (event) => values.push(event.gone ?? event.data)).ready;
    await client.publish('p.poll', { a: 2 });
    await until(() => values.length >= 2, 'both values');
    await publish(10);
    await until(() => heard.length >= sent, 'all');
    assert.deepEqual(heard, Array.from({ length: sent }, (_, i) => i + 1));
    assert.deepEqual(values, [{ a: 1 }, { a: 2 }]);
    await assert.rejects(client.request('nobody.poll', {}), { code: 'no_responders' });
  }));

void it('polls that fail, are cut at any byte, or come to a node that leaves, cost no stored event', () =>
  polling(async (client) => {
    const heard: unknown[] = [];
    const gaps: unknown[] = [];
    await client.subscribe('d.fails', ({ data }) => heard.push(data), { onGap: (gap) => gaps.push(gap) }).ready;
    let sent = 0;
    const publish = async (count: number): Promise<void> => {
      for (const end = sent + count; sent < end; ) await world.publish('d.fails', ++sent, `fails-${sent}`);
    };
    world.pollFails = () => Math.random() < 0.2;
    // More than what was missed has at most: an answer counts as a whole.
    world.cutAfter = () => Math.floor(Math.random() * 60_000);
    await publish(50);
    const [node] = world.nodes;
    await Promise.all([node?.end('SIGTERM'), publish(100)]);
    await node?.start();
    await publish(50);
    world.pollFails = world.cutAfter = undefined;
    // A page that was thrown out again and again waits up to 30 s.
    await until(() => heard.at(-1) === sent, 'all', 45_000);
    assert.deepEqual([heard, gaps], [Array.from({ length: sent }, (_, i) => i + 1), []]);
    assert.equal(way(client), 'poll');
  }));

void it('a history that is longer than an answer may be comes by several polls', () =>
  polling(async (client) => {
    const data = 'x'.repeat(20_000);
    const heard: Record<string, unknown[]> = { '0': [], '1': [] };
    const hear = (name: string): Promise<void> =>
      client.subscribe(`d.long.${name}`, (event) => heard[name]?.push((event.data as { number: number }).number)).ready;
    await Promise.all([hear('0'), hear('1')]);
    world.pollFails = () => true;
    for (const socket of world.sockets) socket.destroy();
    await until(() => way(client) === undefined, 'it is away');
    for (let number = 0; number < 40; number++) await world.publish(`d.long.${number % 2}`, { number, data }, `long-${number}`);
    world.pollFails = undefined;
    await until(() => heard['1']?.at(-1) === 39, 'the newest one', 45_000);
    const numbers = (rest: number): number[] => Array.from({ length: 40 }, (_, i) => i).filter((i) => i % 2 === rest);
    assert.deepEqual(heard, { '0': numbers(0), '1': numbers(1) });
  }));

void it('tabs that share move together to a WebSocket once one comes through, and each says so', async () => {
  world.webSockets = 'refused';
  startWorkers({});
  const restore = hurry();
  const tabs = [0, 1, 2].map(() => createClient({ url: world.url, tabs: 'shared' }));
  const heard = tabs.map((): unknown[] => []);
  try {
    await Promise.all(tabs.map((tab, index) => tab.subscribe('d.moves', ({ data }) => heard[index]?.push(data)).ready));
    assert.deepEqual(tabs.map(way), ['events', 'events', 'events']);
    const dials = tabs.map((tab) => tab.inspect().counters.dials);
    await tabs[0]?.publish('d.moves', 1);
    world.heal();
    await until(() => tabs.every((tab) => way(tab) === 'websocket'), 'a WebSocket');
    await tabs[0]?.publish('d.moves', 2);
    await until(() => heard.every((list) => list.length === 2), 'all hear both');
    assert.deepEqual(heard, [[1, 2], [1, 2], [1, 2]]);
    // To the tabs it is the same connection.
    assert.deepEqual(tabs.map((tab) => tab.inspect().counters.dials), dials);
  } finally {
    restore();
    world.heal();
    tabs.forEach((tab) => tab.close());
  }
});
