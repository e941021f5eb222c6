// One connection for all tabs of an origin: what tabs share and what they do not, and a real SharedWorker in Chromium.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { type Client, createClient } from '../src/client.js';
import type { FromPage, FromWorker } from '../src/port.js';
import { Lines } from '../src/worker/lines.js';
import { Tab } from '../src/worker/tab.js';
import { launch, Site } from './browser.js';
import { World } from './real.js';
import { type Peer, ScriptedNode } from './scripted.js';
import { pause, until } from './wait.js';
import { SHARED, startWorkers } from './worker.js';
import { event, SOCKET } from './world.js';

/** The first Chromium whose SharedWorkers outlive the page that is left (`extendedLifetime`). */
const EXTENDED = 148;

let world: World;
let site: Site;
let browser: Browser;
before(async () => {
  startWorkers();
  [world, site, browser] = await Promise.all([World.start(1), Site.start(), launch()]);
  await site.script('worker.js', 'worker/index.ts');
});
after(async () => {
  await browser?.close();
  site?.stop();
  await world?.stop();
});

type Tested = Client & { close(): void };

/** Runs with a node, and ends it and its clients whatever happens. */
async function scripted(run: (node: ScriptedNode, tab: (token?: () => string | undefined) => Tested) => Promise<void>): Promise<void> {
  const node = await ScriptedNode.start();
  const clients: Tested[] = [];
  try {
    await run(node, (token) => {
      const client = createClient({ url: node.url, ...SHARED, worker: node.url, ...(token && { token }) });
      clients.push(client);
      return client;
    });
  } finally {
    clients.forEach((client) => client.close());
    node.stop();
  }
}

const jwt = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.signature`;
const live = (client: Client, subject: string, heard: unknown[] = []): Promise<void> =>
  client.subscribe(subject, ({ data }) => heard.push(data)).ready;

/** Answers whatever is subscribed. */
async function serve(peer: Peer): Promise<void> {
  for (;;) {
    const frame = await until(() => peer.rest[0] ?? (peer.closed && {}), 'a frame', 60_000);
    if (peer.closed) return;
    const body = Object.keys(frame).find((key) => key !== 'id') ?? '';
    await peer.next(body);
    const { subject } = (frame[body] ?? {}) as { subject?: string };
    if (body === 'subscribe') peer.send({ replyTo: frame.id, subscribed: { subject, delivery: 'live' } });
  }
}

void it('tabs whose tokens grant the same share a connection, and those of another user have their own', () =>
  scripted(async (node, tab) => {
    const tabs = [
      { sub: 'u1', roles: ['a'], iat: 1, exp: 2, jti: 'x' },
      { sub: 'u1', roles: ['a'], iat: 3, exp: 4, jti: 'y' },
      { sub: 'u1', roles: ['a', 'b'] },
      { sub: 'u2', roles: ['a'] },
    ].map((claims) => tab(() => jwt(claims)));
    const heard = tabs.map((client) => {
      const list: unknown[] = [];
      void live(client, 'shop.x', list);
      return list;
    });
    const peers = await Promise.all([0, 1, 2].map((number) => node.peer(number)));
    for (const peer of peers) {
      await peer.welcome();
      serve(peer).catch(() => {});
    }
    await until(() => tabs.every((client) => client.inspect().subscriptions[0]?.state === 'live'), 'all are live');
    assert.equal(node.peers.length, 3);
    const users = peers.map(({ frames }) => (frames[0] as unknown as { connect: { token: string } }).connect.token);
    peers.forEach((peer, index) => peer.send(event('shop.x', index)));
    await until(() => heard.every((list) => list.length === 1), 'all hear one event');
    assert.equal(heard[0]?.[0], heard[1]?.[0]);
    assert.deepEqual(new Set(heard.flat()).size, 3);
    assert.equal(new Set(users).size, 3);
  }));

void it('a token that ends is renewed by one tab, and a refused one is told to all', () =>
  scripted(async (node, tab) => {
    const asked: string[] = [];
    const bring = (name: string) => () => {
      asked.push(name);
      return jwt({ sub: 'u1', iat: asked.length });
    };
    const [first, second] = [tab(bring('first')), tab(bring('second'))];
    const both = [live(first, 'shop.x'), live(second, 'shop.x')];
    const peer = await node.peer(0);
    await peer.welcome();
    const subscribe = await peer.next('subscribe');
    peer.send({ replyTo: subscribe.id, subscribed: { subject: 'shop.x', delivery: 'live' } });
    await Promise.all(both);
    asked.length = 0;
    peer.send({ tokenExpiring: { inMs: 60_000 } });
    const refresh = await peer.next('refresh');
    peer.send({ replyTo: refresh.id, refreshed: {} });
    assert.equal(asked.length, 1);
    peer.socket.close(4501, 'unauthorized');
    // Each tab asks its own application once more, and whoever dials first opens the next connection.
    const next = await node.peer(1);
    await next.welcome();
    await until(() => asked.length === 3, 'both are asked');
    await until(() => [first, second].every((client) => client.status.getSnapshot().status === 'online'), 'both are back');
    assert.equal(node.peers.length, 2);
  }));

void it('one event that several patterns of a tab match is heard once by each of them', () =>
  scripted(async (node, tab) => {
    const client = tab();
    const heard: unknown[][] = [[], [], []];
    const patterns = ['shop.>', 'shop.*', 'shop.x'].map((pattern, index) => live(client, pattern, heard[index]));
    const peer = await node.peer(0);
    await peer.welcome();
    serve(peer).catch(() => {});
    await Promise.all(patterns);
    peer.send(event('shop.x', 1), event('shop.x', 2));
    await until(() => heard.every((list) => list.length >= 2), 'all hear both');
    await pause(20);
    assert.deepEqual(heard, [[1, 2], [1, 2], [1, 2]]);
  }));

void it('a tab that reads nothing is given up, and holds nothing back', () =>
  scripted(async (node) => {
    const { port1: page, port2 } = new MessageChannel();
    new Tab(port2, new Lines({ WebSocket: SOCKET }));
    const got: FromWorker[] = [];
    page.onmessage = ({ data }: MessageEvent<FromWorker>) => void got.push(data);
    const post = (message: FromPage): void => page.postMessage(message);
    post({ dial: node.url });
    post({ text: '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"subject":"shop.x"}}' });
    const peer = await node.peer(0);
    await peer.welcome();
    serve(peer).catch(() => {});
    await until(() => got.some(({ text }) => text?.includes('subscribed')), 'subscribed');
    // 6 MB, of which the page says nothing.
    const data = 'x'.repeat(60_000);
    for (let number = 0; number < 100; number++) peer.send(event('shop.x', data));
    await until(() => got.at(-1)?.closed, 'given up');
    assert.deepEqual(got.at(-1)?.closed, [1006, 'the page reads nothing']);
    page.close();
  }));

/** A page that shares `script`, and shows the library and what it hears to the test. */
const page = (name: string, script: string): Promise<string> => {
  const source = `
    import * as library from '@notifier/client';
    library.configure({ tabs: 'shared', worker: '${script}' });
    const heard = [];
    Object.assign(globalThis, { library, heard, listen: (subject, options) => library.subscribe(subject, ({ data }) => heard.push(data), options) });
    listen('d.tabs.>');
  `;
  return site.page(name, [{ source, version: '1.0.0' }], world.url);
};
const heard = (tab: Page): Promise<unknown[]> => tab.evaluate(() => (globalThis as unknown as { heard: unknown[] }).heard);
const inspect = (tab: Page): Promise<ReturnType<Client['inspect']>> =>
  tab.evaluate(() => (globalThis as unknown as { library: Client }).library.inspect());
const open = async (context: BrowserContext, address: string): Promise<Page> => {
  const tab = await context.newPage();
  await tab.goto(address);
  await until(async () => (await inspect(tab)).subscriptions.every(({ state }) => state === 'live'), 'live');
  return tab;
};
const connections = async (count: number): Promise<void> => {
  await until(async () => (await world.nodes[0]?.connections()) === count, `${count} connections`, 5_000);
};

void it('tabs in a browser are one connection, until some time after the last of them', async () => {
  const address = await page('tabs', '/worker.js');
  const context = await browser.newContext();
  await (await context.newPage()).goto(site.address('elsewhere'));
  const first = await open(context, address);
  const second = await open(context, address);
  await world.publish('p.tabs.a', 'old', 'tabs-old');
  // A tab that comes late for the newest values gets them, though the connection has had them before.
  for (const tab of [first, second]) {
    await tab.evaluate(() => (globalThis as unknown as { listen: (subject: string, options: object) => void }).listen('p.tabs.*', { snapshot: true }));
    await until(async () => (await heard(tab)).includes('old'), 'the newest value');
  }
  await world.publish('d.tabs.a', 1, 'tabs-1');
  for (const tab of [first, second]) await until(async () => (await heard(tab)).includes(1), 'both hear it');
  await connections(1);
  for (const socket of world.sockets) socket.destroy();
  await world.publish('d.tabs.a', 2, 'tabs-2');
  for (const tab of [first, second]) await until(async () => (await heard(tab)).includes(2), 'both hear what they missed');
  await first.close();
  await world.publish('d.tabs.a', 3, 'tabs-3');
  await until(async () => (await heard(second)).includes(3), 'the other one goes on');
  assert.deepEqual(await heard(second), ['old', 1, 2, 3]);
  await connections(1);
  await second.close();
  // The worker itself may live on for long.
  await connections(0);
  await context.close();
});

void it('a page that is left for the next one of its site finds the connection still there', async (t) => {
  if (Number.parseInt(browser.version(), 10) < EXTENDED) return t.skip('this Chromium ends a worker with its last page');
  const address = await page('next', '/worker.js');
  const context = await browser.newContext();
  const tab = await open(context, address);
  const before = new Set(world.sockets);
  const connection = (await inspect(tab)).connection;
  await tab.goto(`${address}?2`);
  await until(async () => (await inspect(tab)).subscriptions[0]?.state === 'live', 'live again');
  assert.equal((await inspect(tab)).connection, connection);
  assert.deepEqual([...world.sockets].filter((socket) => !before.has(socket)), []);
  await context.close();
  await connections(0);
});

void it('where there is no worker each page has a connection of its own', async () => {
  for (const [name, script] of [['absent', '/nothing.js'], ['foreign', 'http://localhost:1/worker.js']] as const) {
    const address = await page(name, script);
    const context = await browser.newContext();
    const tabs = [await open(context, address), await open(context, address)];
    await connections(2);
    await world.publish(`d.tabs.${name}`, name, name);
    for (const tab of tabs) await until(async () => (await heard(tab)).includes(name), `${name} is heard`);
    await context.close();
    await connections(0);
  }
});

void it('tabs in a browser whose WebSockets are blocked share one event stream', async () => {
  world.webSockets = 'refused';
  for (const file of ['worker.js', 'fallback.js']) site.built(file);
  const address = await page('blocked', '/dist/worker.js');
  const context = await browser.newContext();
  try {
    const tabs = [await open(context, address), await open(context, address), await open(context, address)];
    for (const tab of tabs) assert.equal((await inspect(tab)).status.transport, 'events');
    await connections(1);
    await tabs[0]?.evaluate(() => (globalThis as unknown as { library: Client }).library.publish('d.tabs.blocked', 1));
    for (const tab of tabs) await until(async () => (await heard(tab)).includes(1), 'all hear it');
    for (const socket of world.sockets) socket.destroy();
    await world.publish('d.tabs.blocked', 2, 'tabs-blocked');
    for (const tab of tabs) await until(async () => (await heard(tab)).includes(2), 'all hear what they missed');
    for (const tab of tabs) assert.deepEqual(await heard(tab), [1, 2]);
    await connections(1);
  } finally {
    world.heal();
    await context.close();
  }
});
