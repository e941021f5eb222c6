// What a deploy looks like from a page: real nodes that leave, are killed and come back.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient } from '../src/client.js';
import type { Fetched, Status } from '../src/types.js';
import { type RealNode, World } from './real.js';
import { pause, until } from './wait.js';
import { SOCKET } from './world.js';

let world: World;
before(async () => (world = await World.start(2)));
after(() => world.stop());

const client = (url = world.url): ReturnType<typeof createClient> => createClient({ url, WebSocket: SOCKET });
const node = (number: number): RealNode => world.nodes[number] ?? assert.fail();

void it('a drain is not noticed: the page stays online, and hears each event once', async () => {
  const page = client();
  try {
    const heard: number[] = [];
    const seen = new Set<Status>();
    const { ready } = page.subscribe('d.drain', ({ data }) => heard.push(data as number));
    await ready;
    page.status.subscribe(({ status }) => seen.add(status));
    let published = 0;
    let leaving = true;
    const publish = (async () => {
      while (leaving) await world.publish('d.drain', ++published, `drain-${published}`);
    })();
    // The one that the page is on, whichever it is.
    for (const leaver of world.nodes) {
      await leaver.end('SIGTERM');
      await leaver.start();
    }
    leaving = false;
    await publish;
    await until(() => heard.length >= published, 'all events');
    assert.deepEqual(heard, Array.from({ length: published }, (_, i) => i + 1));
    assert.deepEqual([...seen], ['online']);
    assert.ok(page.inspect().counters.dials >= 2);
  } finally {
    page.close();
  }
});

void it('after a cut a page is back within 300 ms where a node is there', async () => {
  const page = client();
  try {
    const { ready } = page.subscribe('d.cut', () => {});
    await ready;
    await pause(1_100);
    let cut = 0;
    const took: number[] = [];
    page.status.subscribe(({ status }) => {
      if (status !== 'online') cut ||= Date.now();
      else if (cut) {
        took.push(Date.now() - cut);
        cut = 0;
      }
    });
    // The other node is there all the time.
    for (let round = 1; round <= 5; round++) {
      for (const socket of world.sockets) socket.destroy();
      await until(() => took.length === round, 'back again');
      await pause(1_100);
    }
    // The middle one: what else the machine does is not what is tested.
    assert.ok((took.sort((a, b) => a - b)[2] ?? 0) <= 300, took.join());
  } finally {
    page.close();
  }
});

void it('a broker that goes away and comes back costs no stored event', async () => {
  const page = client(node(0).url);
  try {
    const heard: unknown[] = [];
    const seen = new Set<Status>();
    const { ready } = page.subscribe('d.broker', ({ data }) => heard.push(data));
    await ready;
    page.status.subscribe(({ status }) => seen.add(status));
    await world.publish('d.broker', 1, 'broker-1');
    await world.nats.end('SIGKILL');
    await until(() => seen.has('degraded'), 'degraded');
    await world.nats.start();
    await world.publish('d.broker', 2, 'broker-2');
    await until(() => heard.length === 2, 'both events');
    assert.deepEqual(heard, [1, 2]);
    await until(() => page.status.getSnapshot().status === 'online', 'online again');
    assert.equal(page.inspect().counters.dials, 1);
  } finally {
    page.close();
  }
});

void it('a cursor holds on any node, for a page that comes later', async () => {
  const [first, second] = [client(node(0).url), client(node(1).url)];
  try {
    for (const number of [1, 2, 3]) await world.publish('d.cursor', number, `cursor-${number}`);
    const { cursor, events } = await first.fetch('d.cursor', { limit: 2 });
    assert.deepEqual(events.map(({ data }) => data), [1, 2]);
    const heard: unknown[] = [];
    second.subscribe('d.cursor', ({ data }) => heard.push(data), { after: cursor });
    await until(() => heard.length === 1, 'what came after');
    await world.publish('d.cursor', 4, 'cursor-4');
    await until(() => heard.length === 2, 'what comes next');
    assert.deepEqual(heard, [3, 4]);
  } finally {
    first.close();
    second.close();
  }
});

void it('publishing, asking and reading are answered, each with its code where it fails', async () => {
  const page = client();
  try {
    const stored = await page.publish('d.verbs', { n: 1 }, { id: 'verb-1' });
    assert.deepEqual([stored.stream, stored.duplicate, stored.id], ['DURABLE', false, 'verb-1']);
    assert.deepEqual(await page.publish('d.verbs', { n: 1 }, { id: 'verb-1' }), { ...stored, duplicate: true });
    assert.equal((await page.publish('live.verbs', 'x')).stream, undefined);
    const bytes = new Uint8Array([0, 255, 10]);
    await page.publish('d.verbs', bytes, { contentType: 'application/octet-stream', headers: { 'ce-tenant': 'acme' } });
    // What has just been stored can be read soon after.
    const read = async (): Promise<Fetched | undefined> => {
      const fetched = await page.fetch('d.verbs');
      return fetched.events.length === 2 ? fetched : undefined;
    };
    const { events, more } = await until(read, 'both events can be read');
    assert.deepEqual(events.map(({ data }) => data), [{ n: 1 }, bytes]);
    assert.deepEqual([events[1]?.headers, more], [{ 'ce-tenant': 'acme' }, false]);

    await assert.rejects(page.request('ask.nobody', {}), { code: 'no_responders', retryable: true });
    await assert.rejects(page.publish('$JS.x', 1), { code: 'forbidden' });
    await assert.rejects(page.publish('d.*', 1), { code: 'bad_subject' });
    await assert.rejects(page.publish('d.big', 'x'.repeat(70_000)), { code: 'too_large' });
    await assert.rejects(page.fetch('live.verbs'), { code: 'not_stored' });
    await assert.rejects(page.fetch('d.verbs', { signal: AbortSignal.abort('gone') }), (reason) => reason === 'gone');
    assert.equal(page.status.getSnapshot().status, 'online');
    assert.equal(page.inspect().counters.dials, 1);
  } finally {
    page.close();
  }
});

void it('whatever odd value a component hands over, the connection of all stays', async () => {
  const page = client();
  try {
    const heard: unknown[] = [];
    await page.subscribe('d.odd.>', ({ data }) => heard.push(data)).ready;
    const odd = [null, undefined, 1.5, -1, NaN, '', 'a..b', '\ud800', {}, [], () => 1, Symbol('s'), 10n, new Date(), 'x'.repeat(2_000)] as never[];
    const answers: Promise<unknown>[] = [];
    for (const value of odd) {
      page.subscribe(value, () => {});
      answers.push(page.publish(value, 1), page.request(value, 1), page.fetch(value), page.publish('d.odd.data', value));
      for (const key of ['id', 'type', 'source', 'contentType', 'time', 'headers', 'timeout']) {
        answers.push(page.publish('d.odd.x', 1, { [key]: value }), page.request('ask.odd', 1, { [key]: value, timeout: 50 }));
      }
      answers.push(page.publish('d.odd.x', 1, { headers: { name: value } }));
      answers.push(page.fetch('d.odd.>', { limit: value }), page.fetch('d.odd.>', { after: value }), page.fetch('d.odd.>', { last: value }));
    }
    await Promise.allSettled(answers);
    await page.publish('d.odd.end', 'end');
    await until(() => heard.includes('end'), 'the last event');
    assert.deepEqual([page.status.getSnapshot().status, page.inspect().counters.dials], ['online', 1]);
  } finally {
    page.close();
  }
});

void it('200 components that mount and unmount all the time never exceed the rate that the node allows', async () => {
  const page = client();
  try {
    for (let round = 0; round < 4; round++) {
      const all = Array.from({ length: 200 }, (_, i) => page.subscribe(`d.mount.${i}`, () => {}));
      await Promise.all(all.map(({ ready }) => ready));
      for (const subscription of all) subscription.unsubscribe();
      await until(() => page.inspect().subscriptions.length === 0, 'all are released', 20_000);
    }
    assert.equal(page.inspect().counters.dials, 1);
  } finally {
    page.close();
  }
});

void it('where the platform has WebSockets nothing has to be handed over', async (t) => {
  if (typeof WebSocket === 'undefined') return t.skip('Node 20 has none');
  const page = createClient({ url: world.url });
  try {
    const heard: unknown[] = [];
    await page.subscribe('d.platform', ({ data }) => heard.push(data)).ready;
    await page.publish('d.platform', 1);
    await until(() => heard.length, 'the event');
    assert.deepEqual([heard, page.inspect().counters.dials], [[1], 1]);
  } finally {
    page.close();
  }
});
