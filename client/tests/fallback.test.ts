// Pages whose WebSockets are blocked: a proxy that refuses them before real nodes, in Node and in Chromium, and a scripted
// node for what real ones do seldom.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { type Client, createClient } from '../src/client.js';
import { LIMITS } from '../src/testing/session.js';
import { launch, Site } from './browser.js';
import { World } from './real.js';
import { hurry, pause, until } from './wait.js';
import { SOCKET } from './world.js';

let world: World;
let site: Site;
let browser: Browser;
before(async () => {
  // Node 20 has none; one that is handed over is never replaced.
  Object.assign(globalThis, { WebSocket: SOCKET });
  [world, site, browser] = await Promise.all([World.start(2), Site.start(), launch()]);
});
after(async () => {
  await browser?.close();
  site?.stop();
  await world?.stop();
});

const transport = (client: Client): string | undefined => {
  const { status, transport: way = 'websocket' } = client.inspect().status;
  return status === 'online' ? way : undefined;
};

void it('without WebSockets a page hears each stored event once and in order over cuts, and all verbs work', async () => {
  world.webSockets = 'refused';
  const client = createClient({ url: world.url });
  const heard: Record<string, unknown[]> = { durable: [], wide: [], live: [], latest: [] };
  const gaps: unknown[] = [];
  const listen = (name: string, subject: string, options = {}): Promise<void> =>
    client.subscribe(subject, ({ data }) => heard[name]?.push(data), { onGap: (gap) => gaps.push(gap), ...options }).ready;
  try {
    await listen('durable', 'd.fallback.a');
    assert.equal(transport(client), 'events');
    // Another set of patterns is another request, which costs nothing of what the first one hears.
    let sent = 0;
    const publish = async (count: number): Promise<void> => {
      for (const end = sent + count; sent < end; ) {
        const number = ++sent;
        await client.publish('d.fallback.a', number);
      }
    };
    await Promise.all([publish(20), listen('live', 'x.fallback')]);
    await listen('wide', 'd.fallback.>', { snapshot: true });
    await client.publish('x.fallback', 'live');
    await until(() => heard.live?.length, 'the live event');
    await client.publish('p.fallback', { 'ü': [1] }, { type: 't ü', source: '/s', id: 'ü 1', headers: { 'ce-tenant': 'ä' } });
    await client.subscribe('p.fallback', (event) => heard.latest?.push(event)).ready;
    await until(() => heard.latest?.length, 'the newest value');
    const { data, type, source, id, headers } = heard.latest?.[0] as Record<string, unknown>;
    assert.deepEqual([data, type, source, id, headers], [{ 'ü': [1] }, 't ü', '/s', 'ü 1', { 'ce-tenant': 'ä' }]);
    await client.publish('p.fallback', undefined, { headers: { 'KV-Operation': 'DEL' } });
    await until(() => heard.latest?.length === 2, 'the end of the value');
    assert.equal((heard.latest?.[1] as { gone?: string }).gone, 'deleted');
    for (let round = 0; round < 2; round++) {
      // A connection has worked when it was up for a second: those that break sooner are tried again ever more seldom.
      await pause(1_000);
      // The first stream after it ends at any byte.
      let cuts = 1;
      world.cutAfter = () => (cuts-- > 0 ? Math.floor(Math.random() * 4_000) : Infinity);
      for (const socket of world.sockets) socket.destroy();
      for (const end = sent + 20; sent < end; ) await world.publish('d.fallback.a', ++sent, `fallback-${sent}`);
      await until(() => heard.durable?.at(-1) === sent && heard.wide?.at(-1) === sent, 'everything arrives');
    }
    const expected = Array.from({ length: sent }, (_, i) => i + 1);
    assert.deepEqual(heard.durable, expected);
    assert.deepEqual(heard.wide, expected.slice(expected.indexOf(heard.wide?.[0] as number)));
    assert.equal(heard.live?.length, 1);
    assert.deepEqual(gaps, []);
    const { events } = await client.fetch('d.fallback.a', { limit: 3 });
    assert.deepEqual(events.map((event) => event.data), [1, 2, 3]);
    await assert.rejects(client.request('nobody.fallback', {}), { code: 'no_responders' });
    // What is only published needs no subscription.
    const publisher = createClient({ url: world.url });
    assert.equal((await publisher.publish('d.fallback.b', 0)).duplicate, false);
    publisher.close();
  } finally {
    world.cutAfter = undefined;
    client.close();
  }
});

void it('a page without WebSockets tries one from time to time, and moves to it without a break', async () => {
  world.webSockets = 'refused';
  const restore = hurry();
  const client = createClient({ url: world.url });
  const heard: unknown[] = [];
  try {
    await client.subscribe('d.move', ({ data }) => heard.push(data)).ready;
    await client.publish('d.move', 1);
    const { dials } = client.inspect().counters;
    await until(() => client.inspect().counters.dials > dials + 1, 'it was tried in vain');
    assert.equal(transport(client), 'events');
    const statuses: string[] = [];
    client.status.subscribe(({ status }) => statuses.push(status));
    world.webSockets = undefined;
    await until(() => transport(client) === 'websocket', 'a WebSocket');
    await client.publish('d.move', 2);
    await until(() => heard.length >= 2, 'both');
    assert.deepEqual([heard, new Set(statuses)], [[1, 2], new Set(['online'])]);
  } finally {
    restore();
    client.close();
  }
});

for (const [way, name] of [
  ['events', 'a page in a browser whose WebSockets are blocked goes on by an event stream, of another origin too'],
  ['poll', 'a page in a browser whose event streams are held back as well goes on by polls, of another origin too'],
] as const) void it(name, async () => {
  world.webSockets = 'refused';
  world.holdsBack = way === 'poll';
  const source = `
    import * as library from '@notifier/client';
    const heard = [];
    Object.assign(globalThis, { library, heard });
    library.subscribe('d.browser.${way}', ({ data }) => heard.push(data));
  `;
  const page = await browser.newPage();
  await page.goto(await site.page(way, [{ source, version: '1.0.0' }], world.url));
  const state = (): Promise<{ way: string | undefined; heard: unknown[] }> =>
    page.evaluate(() => {
      const { library, heard } = globalThis as unknown as { library: Client; heard: unknown[] };
      const { subscriptions, status } = library.inspect();
      return { way: subscriptions[0]?.state === 'live' ? (status.transport ?? 'websocket') : undefined, heard };
    });
  await until(async () => (await state()).way === way, `live by ${way}`);
  await page.evaluate((subject) => (globalThis as unknown as { library: Client }).library.publish(subject, 1, { type: 't' }), `d.browser.${way}`);
  for (const socket of world.sockets) socket.destroy();
  await world.publish(`d.browser.${way}`, 2, `browser-${way}`);
  await until(async () => (await state()).heard.length >= 2, 'both');
  assert.deepEqual((await state()).heard, [1, 2]);
  // Sooner than by itself, in a new network.
  world.webSockets = undefined;
  await page.evaluate(() => dispatchEvent(new Event('online')));
  await until(async () => (await state()).way === 'websocket', 'a WebSocket', 3_000);
  await page.close();
  world.holdsBack = false;
});

const WELCOME = { welcome: { connection: 'c', node: 'n', heartbeatMs: 15_000, limits: LIMITS } };

/** A node without WebSockets whose event streams a test writes. */
class Streams {
  readonly requests: { token: string | undefined; body: { subscriptions: { subject: string; after?: object[] }[] }; response: ServerResponse }[] = [];
  accepts: (token: string | undefined) => boolean = () => true;
  /** Milliseconds until the first word of a stream, and until a poll is answered. */
  welcomeMs = 0;
  pollMs = 0;
  /** Streams end behind their first word. */
  ends = false;
  readonly polls: ServerResponse[] = [];
  readonly server = createServer((request, response) => void this.#serve(request, response));

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1/ws`;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const part of request) text += String(part);
    const token = request.headers.authorization?.replace('Bearer ', '');
    if (request.url?.startsWith('/v1/poll')) {
      this.polls.push(response);
      await pause(this.pollMs);
      return void response.end(`${JSON.stringify(WELCOME)}\n{"ping":{"cursor":"v1."}}\n`);
    }
    if (request.url !== '/v1/events' || !this.accepts(token)) {
      response.writeHead(request.url === '/v1/events' ? 401 : 404, { 'content-type': 'application/json' });
      return void response.end('{"error":{"code":"unauthorized","message":"m"}}');
    }
    const body = JSON.parse(text) as Streams['requests'][number]['body'];
    const index = this.requests.push({ token, body, response }) - 1;
    if (this.welcomeMs) await pause(this.welcomeMs);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    this.tell(index, WELCOME);
    if (this.ends) response.end();
  }

  tell(index: number, ...frames: object[]): void {
    this.requests[index]?.response.write(`${frames.map((frame) => `data:${JSON.stringify(frame)}\n`).join('')}\n`);
  }

  async next(index: number): Promise<Streams['requests'][number]> {
    return until(() => this.requests[index], `request ${index}`);
  }
}

async function streams(run: (node: Streams) => Promise<void>): Promise<void> {
  const node = new Streams();
  node.server.listen(0, '127.0.0.1');
  await once(node.server, 'listening');
  try {
    await run(node);
  } finally {
    node.server.close();
    node.server.closeAllConnections();
  }
}

const stored = (subject: string, seq: number): object => ({ subject, stream: 'S', seq, time: 1, data: seq });
const subscribed = (subject: string, seq: number): object => ({
  subscribed: { subject, delivery: 'durable', positions: [{ stream: 'S', epoch: 'e', seq, delivery: 'durable' }] },
});

void it('an event stream of another set of patterns takes over from the one before, which goes on until then', () =>
  streams(async (node) => {
    const client = createClient({ url: node.url });
    const heard: Record<string, unknown[]> = { a: [], b: [] };
    const listen = (subject: string): Promise<void> => client.subscribe(`s.${subject}`, ({ data }) => heard[subject]?.push(data)).ready;
    try {
      const a = listen('a');
      await node.next(0);
      node.tell(0, subscribed('s.a', 5));
      await a;
      const { dials } = client.inspect().counters;
      node.tell(0, { event: stored('s.a', 6) });
      await until(() => heard.a?.length === 1, 'the first one');
      const b = listen('b');
      const { body } = await node.next(1);
      assert.deepEqual(body.subscriptions, [{ subject: 's.a', after: [{ stream: 'S', epoch: 'e', seq: 6 }] }, { subject: 's.b' }]);
      node.tell(0, { event: stored('s.a', 7) });
      await until(() => heard.a?.length === 2, 'the old one goes on');
      // History without a subject is for those who asked for it.
      node.tell(1, { replay: { events: [stored('s.a', 7), stored('s.b', 8), stored('s.a', 9)], epoch: 'e' } });
      node.tell(1, subscribed('s.a', 9), subscribed('s.b', 9), { event: stored('s.b', 10) });
      await b;
      await until(() => node.requests[0]?.response.destroyed, 'the old one is closed');
      node.tell(1, { event: stored('s.a', 11) });
      await until(() => heard.a?.length === 4, 'all');
      assert.deepEqual(heard, { a: [6, 7, 9, 11], b: [10] });
      assert.equal(client.inspect().counters.dials, dials);
    } finally {
      client.close();
    }
  }));

void it('the token of an event stream is asked for again when it is refused, and renewed by another stream', () =>
  streams(async (node) => {
    const reasons: string[] = [];
    let token = 'old';
    const client = createClient({ url: node.url, token: ({ reason }) => (reasons.push(reason), reason === 'rejected' ? (token = 'new') : token) });
    node.accepts = (brought) => brought !== 'old';
    try {
      const ready = client.subscribe('s.a', () => {}).ready;
      assert.equal((await node.next(0)).token, 'new');
      node.tell(0, subscribed('s.a', 1));
      await ready;
      assert.ok(reasons.includes('rejected'), String(reasons));
      token = 'newer';
      node.tell(0, { tokenExpiring: { inMs: 10_000 } });
      assert.equal((await node.next(1)).token, 'newer');
      node.tell(1, subscribed('s.a', 1));
      await until(() => node.requests[0]?.response.destroyed, 'the old one is closed');
      assert.equal(reasons.at(-1), 'expiring');
      node.accepts = () => false;
      node.tell(1, { goaway: { reason: 'revoked' } });
      node.requests[1]?.response.end();
      await until(() => client.status.getSnapshot().status === 'unauthorized', 'it ends', 20_000);
    } finally {
      client.close();
    }
  }));

void it('an event stream whose first word comes late carries the page, not the poll that was made meanwhile', () =>
  streams(async (node) => {
    node.welcomeMs = 1_700;
    node.pollMs = 3_000;
    const client = createClient({ url: node.url });
    try {
      const ready = client.subscribe('s.a', () => {}).ready;
      await node.next(0);
      await until(() => client.status.getSnapshot().status === 'online', 'it is welcome');
      node.tell(0, subscribed('s.a', 1));
      await ready;
      assert.equal(client.status.getSnapshot().transport, 'events');
      await until(() => node.polls.length && node.polls[0]?.destroyed, 'the poll is given up');
      assert.equal(node.polls.length, 1);
    } finally {
      client.close();
    }
  }));

void it('event streams that end at once are tried less and less', () =>
  streams(async (node) => {
    node.ends = true;
    const client = createClient({ url: node.url });
    try {
      client.subscribe('s.a', () => {});
      await pause(2_500);
      const { dials } = client.inspect().counters;
      // A WebSocket and an event stream per attempt, of which there are hardly more than five by then.
      assert.ok(dials >= 4 && dials <= 20, `${dials} dials`);
      assert.ok(node.requests.length <= dials / 2 + 1, `${node.requests.length} streams of ${dials} dials`);
    } finally {
      client.close();
    }
  }));
