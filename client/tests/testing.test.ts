// The fake node of `@notifier/client/testing`, under the real client: what it can be told to do, each as a test.
import assert from 'node:assert/strict';
import { it, mock } from 'node:test';
import { type Client, createClient } from '../src/client.js';
import { createFakeNode, type FakeNode, type FakeNodeOptions } from '../src/testing/node.js';
import { meet } from '../src/testing/streams.js';
import type { Config, Gap } from '../src/types.js';
import { until } from './wait.js';

/** Runs with a client at a fake node, and ends the client whatever happens. */
async function at(
  run: (node: FakeNode, client: Client) => Promise<void>,
  options: FakeNodeOptions = {},
  config: Config = {},
): Promise<void> {
  const node = createFakeNode(options);
  const client = createClient({ ...node.config, ...config });
  try {
    await run(node, client);
  } finally {
    client.close();
  }
}

const shows = (client: Client, status: string): Promise<boolean> =>
  until(() => client.status.getSnapshot().status === status, `status ${status}`);

void it('a component hears what the fake node emits, and what it has stored', () =>
  at(async (node, client) => {
    node.emit('shop.cart.u42', { items: 1 });
    const heard: unknown[] = [];
    const { ready } = client.subscribe('shop.cart.*', ({ data, snapshot }) => heard.push([data, snapshot]), { snapshot: true });
    await ready;
    node.emit('shop.cart.u42', { items: 2 }, { id: 'two' });
    node.emit('shop.cart.u42', { items: 2 }, { id: 'two' });
    node.emit('shop.other', 'not asked for');
    await until(() => heard.length === 2, 'two events');
    assert.deepEqual(heard, [[{ items: 1 }, true], [{ items: 2 }, false]]);
    assert.deepEqual([node.subjects, node.connections], [['shop.cart.*'], 1]);
  }));

void it('a fake node shows what was published, and answers as a service', () =>
  at(async (node, client) => {
    assert.deepEqual(await client.publish('shop.cart.u42', { add: 1 }, { id: 'one' }), { id: 'one', stream: 'TEST', seq: 1, duplicate: false });
    assert.equal((await client.publish('shop.cart.u42', { add: 1 }, { id: 'one' })).duplicate, true);
    assert.deepEqual(node.published[0], { subject: 'shop.cart.u42', data: { add: 1 }, id: 'one' });
    const stop = node.answer('stock.*', ({ count }: { count: number }, subject) => ({ subject, left: count - 1 }));
    assert.deepEqual(await client.request('stock.a', { count: 3 }), { subject: 'stock.a', left: 2 });
    stop();
    await assert.rejects(client.request('stock.a', 1), { code: 'no_responders' });
    node.answer('stock.*', () => {
      throw Object.assign(new Error('sold out'), { code: 'sold_out' });
    });
    await assert.rejects(client.request('stock.a', 1), { code: 'service_error', serviceCode: 'sold_out', message: 'sold out' });
  }));

void it('a fake node refuses what it is told to refuse', () =>
  at(async (node, client) => {
    const allow = node.refuse('secret.>');
    const errors: string[] = [];
    const options = { onError: ({ code }: { code: string }) => void errors.push(code) };
    await assert.rejects(client.subscribe('secret.x', () => {}, options).ready, { code: 'forbidden' });
    await assert.rejects(client.publish('secret.x', 1), { code: 'forbidden' });
    await assert.rejects(client.fetch('secret.>'), { code: 'forbidden' });
    assert.deepEqual(errors, ['forbidden']);
    allow();
    await client.publish('secret.x', 1);
  }));

void it('a client comes back from each status that a fake node brings it into', () =>
  at(async (node, client) => {
    const heard: unknown[] = [];
    await client.subscribe('d.x', ({ data }) => heard.push(data)).ready;
    node.cut();
    node.emit('d.x', 'cut');
    await until(() => heard.length === 1, 'what was missed');
    node.setStatus('degraded');
    await shows(client, 'degraded');
    await assert.rejects(client.request('d.x', 1), { code: 'broker_unavailable' });
    const late = client.subscribe('d.y', () => {});
    node.setStatus('online');
    await shows(client, 'online');
    await late.ready;
    node.setStatus('waiting');
    await shows(client, 'waiting');
    node.emit('d.x', 'waiting');
    node.setStatus('online');
    await until(() => heard.length === 2, 'what was missed');
    for (const status of ['closed', 'unauthorized'] as const) {
      node.setStatus(status);
      await shows(client, status);
      node.setStatus('online');
      client.configure({});
      await shows(client, 'online');
    }
    node.emit('d.x', 'end');
    await until(() => heard.length === 3, 'the last event');
    assert.deepEqual(heard, ['cut', 'waiting', 'end']);
  }));

void it('a fake node that drains is left without a loss', () =>
  at(async (node, client) => {
    const heard: unknown[] = [];
    const states: string[] = [];
    await client.subscribe('d.x', ({ data }) => heard.push(data)).ready;
    client.status.subscribe(({ status }) => states.push(status));
    node.drain();
    for (let i = 0; i < 5; i++) node.emit('d.x', i);
    await until(() => client.inspect().counters.dials === 2 && node.connections === 1, 'the second connection alone');
    node.emit('d.x', 5);
    await until(() => heard.length === 6, 'all events');
    assert.deepEqual([heard, new Set(states)], [[0, 1, 2, 3, 4, 5], new Set(['online'])]);
  }));

void it('a fake node asks for tokens, sees them and refuses them', async () => {
  const reasons: string[] = [];
  const token = ({ reason }: { reason: string }): string => reasons.push(reason) + reason;
  const user = (shown?: string): string | undefined => (shown === '1connect' ? undefined : 'u42');
  await at(
    async (node, client) => {
      await client.subscribe('x', () => {}).ready;
      assert.equal(client.status.getSnapshot().user, 'u42');
      node.expireToken();
      await until(() => node.tokens.length === 3, 'a third token');
      assert.deepEqual(node.tokens, ['1connect', '2rejected', '3expiring']);
    },
    { user },
    { token },
  );
});

void it('a fake node loses events in each way that a real one does', () =>
  at(
    async (node, client) => {
      const heard: unknown[] = [];
      const gaps: string[] = [];
      const onGap = ({ subject, reason }: Gap): void => void gaps.push(`${subject} ${reason}`);
      await client.subscribe('d.x', ({ data }) => heard.push(data), { onGap }).ready;
      await client.subscribe('live.x', () => {}, { onGap }).ready;
      node.lose('live.x');
      await until(() => gaps.length === 1, 'lost live events');
      node.setStatus('waiting');
      node.emit('d.x', 'dropped');
      node.expire('D');
      node.emit('d.x', 'kept');
      node.setStatus('online');
      await until(() => heard.length === 1, 'what is left');
      node.recreate('D');
      node.emit('d.x', 'anew');
      await until(() => heard.length === 2, 'the first event of the new stream');
      node.setStatus('waiting');
      node.recreate();
      node.emit('d.x', 'once more');
      node.setStatus('online');
      await until(() => heard.length === 3, 'the first event of the third stream');
      assert.deepEqual(heard, ['kept', 'anew', 'once more']);
      assert.deepEqual(gaps, ['live.x overflow', 'd.x expired', 'd.x reset', 'd.x reset']);
      assert.throws(() => node.expire('E'), /no stream E/);
    },
    { streams: { D: { subjects: ['d.>'] } } },
  ));

void it('time stands still for a component at a fake node where a test says so', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const node = createFakeNode();
  const client = createClient(node.config);
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 100; i++) await Promise.resolve();
  };
  try {
    client.subscribe('x', () => {});
    await settle();
    assert.equal(client.status.getSnapshot().status, 'online');
    // A connection that has worked for a second comes back within 250 ms, whatever is drawn; a younger one within 500 ms.
    mock.timers.tick(1_000);
    node.cut();
    await settle();
    assert.equal(client.status.getSnapshot().status, 'waiting');
    mock.timers.tick(250);
    await settle();
    assert.deepEqual([client.status.getSnapshot().status, node.connections], ['online', 1]);
  } finally {
    client.close();
    mock.timers.reset();
  }
});

void it('two patterns meet where a subject exists that both match', () => {
  for (const [a, b] of [['a.>', 'a.b'], ['*.b', 'a.*'], ['>', 'x'], ['a', 'a']]) assert.ok(meet(a ?? '', b ?? ''), `${a} ${b}`);
  for (const [a, b] of [['a.>', 'a'], ['a', 'b'], ['a.*', 'a.b.c'], ['*.a', '*.b']]) assert.ok(!meet(a ?? '', b ?? ''), `${a} ${b}`);
});
