// Positions that survive the page: what a server hands over, and what a page remembers of the last visit.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Client, createClient } from '../src/client.js';
import { remember } from '../src/remember.js';
import { createFakeNode, type FakeNode } from '../src/testing/node.js';
import type { LiveState, Store } from '../src/types.js';
import { until } from './wait.js';

const KEY = 'notifier.values';

function memory(): Storage & { texts: Map<string, string> } {
  const texts = new Map<string, string>();
  return {
    texts,
    getItem: (key: string) => texts.get(key) ?? null,
    setItem: (key: string, text: string) => void texts.set(key, text),
    removeItem: (key: string) => void texts.delete(key),
  } as unknown as Storage & { texts: Map<string, string> };
}

const node = (): FakeNode => createFakeNode({ streams: { S: { subjects: ['shop.>'] }, P: { subjects: ['price.>'], delivery: 'latest' } } });

/** One visit of a page: a client of its own, which ends with it. */
async function visit<T>(at: FakeNode, run: (client: Client) => Promise<T>): Promise<T> {
  const client = createClient(at.config);
  try {
    return await run(client);
  } finally {
    client.close();
  }
}

/** Watches a store: all that it has shown. */
function watch<T>(store: Store<LiveState<T>>): { shown: LiveState<T>[]; stop: () => void; value(expected: T): Promise<boolean> } {
  const shown: LiveState<T>[] = [];
  const stop = store.subscribe((state) => void shown.push(state));
  const value = (expected: T): Promise<boolean> =>
    until(() => JSON.stringify(store.getSnapshot().value) === JSON.stringify(expected) && store.getSnapshot().state === 'live', `${String(expected)}`);
  return { shown, stop, value };
}

const sum = { reduce: (total: number | undefined, { data }: { data: unknown }) => (total ?? 0) + Number(data) };

void it('what a server has rendered is shown at once, and only what came since is read', async () => {
  const at = node();
  at.emit('shop.a', 1);
  at.emit('shop.a', 2);
  const { events, cursor } = await visit(at, (server) => server.fetch('shop.a', { last: true }));
  at.emit('shop.a', 3);
  await visit(at, async (client) => {
    const total = client.live<'shop.a', number>('shop.a', { ...sum, initial: Number(events[0]?.data), after: cursor });
    assert.deepEqual(total.getSnapshot(), { value: 2, state: 'loading' });
    const watching = watch(total);
    await watching.value(2 + 3);
    at.emit('shop.a', 4);
    await watching.value(2 + 3 + 4);
    assert.ok(watching.shown.every(({ value }) => value !== undefined));
    // Who comes back begins where the first one began.
    watching.stop();
    await watch(total).value(2 + 3 + 4);
  });
});

void it('a value of a server whose position is gone is replaced by a snapshot', async () => {
  const at = node();
  at.emit('price.a', 1);
  const { cursor } = await visit(at, (server) => server.fetch('price.a', { last: true }));
  at.recreate('P');
  at.emit('price.a', 7);
  await visit(at, async (client) => {
    const gaps: string[] = [];
    const price = client.live<'price.a', number>('price.a', { initial: 1, after: cursor, onGap: ({ reason }) => void gaps.push(reason) });
    await watch(price).value(7);
    assert.deepEqual(gaps, ['reset']);
  });
});

void it('a page that comes again shows the values of the last visit at once, and reads what came since', async () => {
  const [at, storage] = [node(), memory()];
  at.emit('shop.a', 1);
  await visit(at, async (client) => {
    const kept = remember({ user: 'test', storage, client });
    const total = watch(kept.live<'shop.a', number>('shop.a', sum));
    await total.value(1);
    at.emit('shop.a', 2);
    await total.value(3);
    kept.save();
  });
  at.emit('shop.a', 4);
  await visit(at, async (client) => {
    const kept = remember({ user: 'test', storage, client });
    const store = kept.live<'shop.a', number>('shop.a', sum);
    assert.deepEqual(store.getSnapshot(), { value: 3, state: 'loading' });
    const total = watch(store);
    await total.value(7);
    // A component that goes before the page does has its value kept too.
    total.stop();
    kept.save();
  });
  await visit(at, async (client) => {
    assert.equal(remember({ user: 'test', storage, client }).live('shop.a').getSnapshot().value, 7);
  });
  assert.equal(storage.texts.size, 1);
});

void it('values of another user, of one whose token is refused, and of a misnamed one are deleted', async () => {
  const storage = memory();
  const visited = async (user: string): Promise<void> => {
    const at = node();
    at.emit('shop.a', 1);
    await visit(at, async (client) => {
      const kept = remember({ user, storage, client });
      await watch(kept.live('shop.a')).value(1);
      kept.save();
    });
  };
  await visited('test');
  assert.ok(storage.texts.has(KEY));
  await visit(node(), async (client) => {
    assert.equal(remember({ user: 'other', storage, client }).live('shop.a').getSnapshot().value, undefined);
  });
  assert.ok(!storage.texts.has(KEY));
  // The node knows the user as `test`.
  await visited('misnamed');
  assert.ok(!storage.texts.has(KEY));
  await visited('test');
  const at = node();
  await visit(at, async (client) => {
    const kept = remember({ user: 'test', storage, client });
    at.setStatus('unauthorized');
    kept.live('shop.a').subscribe(() => {});
    await until(() => client.status.getSnapshot().status === 'unauthorized', 'unauthorized');
    kept.save();
  });
  assert.ok(!storage.texts.has(KEY));
});

void it('what is kept stays below 256 KiB, and holds neither values after a gap nor those that no stream has', async () => {
  const [at, storage] = [node(), memory()];
  await visit(at, async (client) => {
    const kept = remember({ user: 'test', storage, client });
    const large = 'x'.repeat(50_000);
    for (const name of ['a', 'b', 'c', 'd']) {
      at.emit(`shop.${name}`, large);
      await watch(kept.live(`shop.${name}`)).value(large);
    }
    const live = watch(kept.live('live.a'));
    await until(() => live.shown.at(-1)?.state === 'live', 'live');
    at.emit('live.a', 1);
    await live.value(1);
    kept.save();
  });
  const { kept } = JSON.parse(storage.texts.get(KEY) ?? '') as { kept: object };
  assert.deepEqual(Object.keys(kept), ['shop.c', 'shop.d']);
  await visit(at, async (client) => {
    const again = remember({ user: 'test', storage, client });
    at.recreate('S');
    at.emit('shop.d', 'new');
    await watch(again.live('shop.d')).value('new');
    again.save();
  });
  assert.deepEqual(Object.keys((JSON.parse(storage.texts.get(KEY) ?? '') as { kept: object }).kept), ['shop.c']);
});

void it('storage that is full or forbidden keeps nothing, and breaks nothing', async () => {
  const at = node();
  at.emit('shop.a', 1);
  const full = { getItem: () => '{', setItem: () => assert.fail('full'), removeItem: () => assert.fail('forbidden') };
  await visit(at, async (client) => {
    const kept = remember({ user: 'test', storage: full, client });
    await watch(kept.live('shop.a')).value(1);
    kept.save();
    kept.clear();
  });
});
