// Commands that show at once: confirmed by an event or an answer, taken back by a refusal.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Client, createClient } from '../src/client.js';
import { type Optimistic, optimistic, type OptimisticOptions } from '../src/optimistic.js';
import { createFakeNode, type FakeNode } from '../src/testing/node.js';
import { until } from './wait.js';

interface Cart {
  items: string[];
}
interface Add {
  add: string;
}
type Options = Partial<OptimisticOptions<Cart, Add, Cart>>;

interface Scene {
  node: FakeNode;
  client: Client;
  cart: Optimistic<Cart, Add>;
  /** Each value that was shown, and how many commands were pending. */
  shown: string[];
  /** What the service has been sent. */
  sent: { id: string; add: string; answer: (value?: unknown) => void; refuse: (error: Error) => void }[];
}

async function scene(options: Options, run: (scene: Scene) => Promise<void>): Promise<void> {
  const node = createFakeNode({ streams: { S: { subjects: ['shop.>'] } } });
  const client = createClient(node.config);
  const sent: Scene['sent'] = [];
  const shown: string[] = [];
  const cart = optimistic<Cart, Add, string, Cart>('shop.cart', {
    apply: (value, { add }) => ({ items: [...(value?.items ?? []), add] }),
    send: ({ add }, { id }) => new Promise((answer, refuse) => sent.push({ id, add, answer, refuse })),
    client,
    ...options,
  });
  try {
    await run({ node, client, cart, shown, sent });
  } finally {
    client.close();
  }
}
const items = ({ cart }: Scene): string => cart.getSnapshot().value?.items.join() ?? '';

/** Watches, with `a` in the cart. */
async function watched(at: Scene): Promise<() => void> {
  at.node.emit('shop.cart', { items: ['a'] });
  const stop = at.cart.subscribe(({ value, pending }) => at.shown.push(`${value?.items.join() ?? ''} ${pending}`));
  await until(() => items(at) === 'a', 'the value');
  at.shown.length = 0;
  return stop;
}

void it('a command shows at once and is confirmed by its event, and no value between has both or none', () =>
  scene({}, async (at) => {
    await watched(at);
    const done = at.cart.run({ add: 'b' });
    assert.deepEqual(at.shown, ['a,b 1']);
    const { id } = await until(() => at.sent[0], 'a command');
    // Another component's change comes first: it shows below the command.
    at.node.emit('shop.cart', { items: ['a', 'x'] });
    await until(() => at.shown.length === 2, 'the change');
    at.node.emit('shop.cart', { items: ['a', 'x', 'b'] }, { id });
    await done;
    await until(() => at.cart.getSnapshot().pending === 0, 'nothing is pending');
    assert.deepEqual(at.shown, ['a,b 1', 'a,x,b 1', 'a,x,b 0']);
  }));

void it('a refused command is taken back, those behind it stay, and the caller is told why', () =>
  scene({}, async (at) => {
    await watched(at);
    const first = at.cart.run({ add: 'b' });
    const second = at.cart.run({ add: 'c' });
    await until(() => at.sent.length === 2, 'two commands');
    at.sent[0]?.refuse(new Error('sold out'));
    await assert.rejects(first, /sold out/);
    assert.equal(items(at), 'a,c');
    at.node.emit('shop.cart', { items: ['a', 'c'] }, { id: at.sent[1]?.id ?? '' });
    await second;
    await until(() => at.cart.getSnapshot().pending === 0, 'nothing is pending');
    assert.deepEqual(at.shown, ['a,b 1', 'a,b,c 2', 'a,c 1', 'a,c 0']);
  }));

void it('a command that nothing confirms is taken back in time, and its sending is given up', () => {
  let signal: AbortSignal | undefined;
  const send = (_: Add, context: { signal: AbortSignal }): Promise<void> => {
    signal = context.signal;
    return Promise.resolve();
  };
  return scene({ timeout: 30, send }, async (at) => {
    await watched(at);
    await assert.rejects(at.cart.run({ add: 'b' }), { code: 'timeout', retryable: true });
    assert.deepEqual([at.shown, signal?.aborted], [['a,b 1', 'a 0'], true]);
  });
});

void it('a command is confirmed by an answer, whose value holds until the next event', () =>
  scene({ settle: 'answer' }, async (at) => {
    await watched(at);
    const done = at.cart.run({ add: 'b' });
    await until(() => at.sent.length === 1, 'a command');
    at.sent[0]?.answer({ items: ['a', 'B'] });
    await done;
    assert.deepEqual(at.shown, ['a,b 1', 'a,B 0']);
    // A change of the state alone is no news of the value.
    at.node.setStatus('degraded');
    await until(() => at.cart.getSnapshot().state === 'stale', 'stale');
    assert.equal(items(at), 'a,B');
    at.node.setStatus('online');
    at.node.emit('shop.cart', { items: ['a'] });
    await until(() => items(at) === 'a', 'the event');
    const silent = at.cart.run({ add: 'c' });
    await until(() => at.sent.length === 2, 'a second command');
    at.sent[1]?.answer();
    await silent;
    assert.equal(items(at), 'a');
  }));

void it('a command is confirmed while nobody watches, and nothing stays subscribed for it', () =>
  scene({}, async (at) => {
    const done = at.cart.run({ add: 'b' });
    assert.equal(items(at), 'b');
    await until(() => at.sent.length === 1 && at.node.subjects.length === 1, 'sent and subscribed');
    at.node.emit('shop.cart', { items: ['b'] }, { id: at.sent[0]?.id ?? '' });
    await done;
    await until(() => at.node.subjects.length === 0, 'nothing is subscribed');
    assert.deepEqual(at.cart.getSnapshot(), { value: { items: ['b'] }, state: 'live', pending: 0 });
  }));

void it('a command that is published under its id is confirmed by its own event, across a lost connection', () =>
  scene({}, async (at) => {
    const publishing = optimistic<Cart, Add, string, Cart>('shop.cart', {
      apply: (value, { add }) => ({ items: [...(value?.items ?? []), add] }),
      send: ({ add }, { id, signal }) => at.client.publish('shop.cart', { items: [add] }, { id, signal }),
      reduce: (value, { data }) => ({ items: [...(value?.items ?? []), ...data.items] }),
      client: at.client,
    });
    publishing.subscribe(() => {});
    await until(() => publishing.getSnapshot().state === 'live', 'live');
    at.node.cut();
    await Promise.all(['a', 'b'].map((add) => publishing.run({ add })));
    await until(() => publishing.getSnapshot().pending === 0, 'nothing is pending');
    assert.deepEqual(publishing.getSnapshot().value, { items: ['a', 'b'] });
    at.node.refuse('shop.cart');
    await assert.rejects(publishing.run({ add: 'c' }), { code: 'forbidden' });
    assert.deepEqual(publishing.getSnapshot().value, { items: ['a', 'b'] });
  }));

void it('what `send` throws at once is a refusal', () =>
  scene(
    {
      send: () => {
        throw new Error('no such button');
      },
    },
    async (at) => {
      await watched(at);
      await assert.rejects(at.cart.run({ add: 'b' }), /no such button/);
      assert.deepEqual(at.shown, ['a,b 1', 'a 0']);
    },
  ));
