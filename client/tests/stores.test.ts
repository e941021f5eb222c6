// Iterators and stores: what frameworks and loops are given.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Gap, LiveState, NotifierEvent } from '../src/types.js';
import { pause, until } from './wait.js';
import { event, pair } from './world.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

void it('an iterator gives each event in order and ends its subscription when the loop is left', () =>
  pair(async ({ client, peer }) => {
    const heard: unknown[] = [];
    const loop = (async () => {
      for await (const { data } of client.subscribe('x')) {
        heard.push(data);
        if (data === 3) break;
      }
    })();
    const node = await peer();
    await node.subscribed('x');
    node.send(event('x', 1), event('x', 2), event('x', 3), event('x', 4));
    await loop;
    assert.deepEqual(heard, [1, 2, 3]);
    await node.next('unsubscribe');
  }));

void it('an iterator ends with its signal, and fails where its subject is refused', () =>
  pair(async ({ client, peer }) => {
    const abort = new AbortController();
    const ended = client.subscribe('x', { signal: abort.signal }).next();
    const refused = client.subscribe('secret').next();
    const node = await peer();
    await node.subscribed('x');
    const { id } = await node.next('subscribe');
    node.send({ replyTo: id, error: { code: 'forbidden', message: 'm', subject: 'secret' } });
    await assert.rejects(refused, { code: 'forbidden' });
    abort.abort();
    assert.deepEqual(await ended, { done: true, value: undefined });
  }));

void it('a loop that is too slow keeps the newest events, and is told of the others', () =>
  pair(async ({ client, peer }) => {
    const gaps: Gap[] = [];
    const loop = client.subscribe('x', { buffer: 2, onGap: (gap) => gaps.push(gap) });
    const node = await peer();
    await node.subscribed('x');
    node.send(...[1, 2, 3, 4].map((n) => event('x', n)));
    await until(() => gaps.length === 2, 'two gaps');
    assert.equal(gaps[0]?.reason, 'overflow');
    const next = async (): Promise<unknown> => ((await loop.next()).value as NotifierEvent).data;
    assert.deepEqual([await next(), await next()], [3, 4]);
  }));

void it('a live value is subscribed while somebody watches it, once for all of them', () =>
  pair(async ({ client, peer }) => {
    const store = client.live<'x', number>('x');
    assert.deepEqual(store.getSnapshot(), { value: undefined, state: 'loading' });
    const stops = Array.from({ length: 5 }, () => store.subscribe(() => {}));
    const node = await peer();
    await node.subscribed('x', { delivery: 'latest', positions: [] });
    node.send(event('x', 7));
    await until(() => store.getSnapshot().value === 7, 'the value');
    assert.deepEqual(store.getSnapshot(), { value: 7, state: 'live' });
    stops.forEach((stop) => stop());
    await node.next('unsubscribe');
    assert.deepEqual(node.rest, []);
  }));

void it('a live value changes once for a message of many events, and is the same object until it changes', () =>
  pair(async ({ client, peer }) => {
    const store = client.live<'x', number>('x', { reduce: (sum = 0, e) => sum + Number(e.data) });
    const seen: LiveState<number>[] = [];
    store.subscribe((state) => seen.push(state));
    const node = await peer();
    await node.subscribed('x');
    await until(() => store.getSnapshot().state === 'live', 'live');
    const before = seen.length;
    node.send(...Array.from({ length: 100 }, () => event('x', 1)));
    await until(() => store.getSnapshot().value === 100, 'the sum');
    assert.equal(seen.length, before + 1);
    assert.equal(store.getSnapshot(), store.getSnapshot());
    assert.equal(store.getSnapshot(), seen.at(-1));
  }));

void it('an atomic batch is told in one task, and a live value changes once for it', () =>
  pair(async ({ client, peer }) => {
    const store = client.live<'x', string>('x', { reduce: (all = '', { data, batch }) => `${all}${data}${batch?.last ? '.' : ''}` });
    const seen: (string | undefined)[] = [];
    const told: unknown[] = [];
    let tasks = 0;
    store.subscribe(({ value }) => seen.push(value));
    client.subscribe('x', ({ data, batch }) => {
      if (batch?.index === 1) queueMicrotask(() => tasks++);
      told.push([data, batch?.id, batch?.index, !!batch?.last, tasks]);
    });
    const node = await peer();
    await node.subscribed('x');
    const of = (index: number, last = false): object => {
      const { event: plain } = event('x', index) as { event: object };
      return { event: { ...plain, batch: { id: 'b', index, ...(last && { last }) } } };
    };
    node.send(of(1), of(2), of(4, true));
    await until(() => store.getSnapshot().value !== undefined, 'the batch');
    assert.equal(store.getSnapshot().value, '124.');
    assert.deepEqual([...new Set(seen)], [undefined, '124.']);
    assert.deepEqual(told, [1, 2, 4].map((index) => [index, 'b', index, index === 4, 0]));
    assert.equal(tasks, 1);
  }));

void it('a live value is stale while the connection is away, and keeps what it was', () =>
  pair(async ({ client, peer }) => {
    const store = client.live<'x', number>('x');
    store.subscribe(() => {});
    const first = await peer();
    await first.subscribed('x', { delivery: 'latest', positions: [] });
    first.send(event('x', 1));
    await until(() => store.getSnapshot().value === 1, 'the value');
    first.socket.terminate();
    await until(() => store.getSnapshot().state === 'stale', 'stale');
    assert.equal(store.getSnapshot().value, 1);
    const second = await peer();
    await second.subscribed('x', { delivery: 'latest', positions: [] });
    await until(() => store.getSnapshot().state === 'live', 'live again');
  }));

void it('a live value says when it is refused', () =>
  pair(async ({ client, peer }) => {
    const store = client.live('secret');
    store.subscribe(() => {});
    const node = await peer();
    const { id } = await node.next('subscribe');
    node.send({ replyTo: id, error: { code: 'forbidden', message: 'm' } });
    await until(() => store.getSnapshot().state === 'error', 'an error');
    assert.equal(store.getSnapshot().error?.code, 'forbidden');
  }));

void it('10,000 mounts and unmounts are one subscription, and leave nothing behind', () =>
  pair(async ({ client, peer }) => {
    const keep = client.subscribe('x', () => {});
    const node = await peer();
    await node.subscribed('x');
    const grown = async (): Promise<number> => {
      for (let i = 0; i < 2_500; i++) {
        const store = client.live('x');
        const stop = store.subscribe(() => {});
        client.subscribe('x', () => {}).unsubscribe();
        stop();
      }
      await pause(20);
      collect();
      return process.memoryUsage().heapUsed;
    };
    const sizes: number[] = [];
    for (let round = 0; round < 4; round++) sizes.push(await grown());
    assert.deepEqual(node.rest, []);
    assert.equal(client.inspect().subscriptions[0]?.handlers, 1);
    // What is held grows in every round; a compiler's memory does not. Less than 20 bytes for each of 5,000 handlers.
    const least = Math.min(...sizes.slice(1).map((size, i) => size - (sizes[i] ?? 0)));
    assert.ok(least < 100_000, `grown by ${least} bytes`);
    keep.unsubscribe();
  }));

void it('what was asked for and given up before it could be sent is not sent: others do not wait behind it', () =>
  pair(async ({ client, peer }) => {
    const { ready } = client.subscribe('p.x', () => {});
    const node = await peer();
    await node.subscribed('p.x', { delivery: 'latest', positions: [{ stream: 'S', epoch: 'E', seq: 1 }] });
    await ready;
    // Each would read the newest value, as it comes late.
    for (let i = 0; i < 5_000; i++) client.subscribe('p.x', () => {}).unsubscribe();
    void client.publish('l.x', 1).catch(() => {});
    await node.next('publish');
    assert.deepEqual(node.rest, []);
  }));

void it('a value that ends is gone from its store, and its handlers are told how it ended', () =>
  pair(async ({ client, peer }) => {
    const told: (string | undefined)[] = [];
    client.subscribe('p.x', ({ gone }) => told.push(gone));
    const price = client.live<string, number>('p.x');
    const stop = price.subscribe(() => {});
    const node = await peer();
    await node.subscribed('p.x', { delivery: 'latest', positions: [{ stream: 'S', epoch: 'E', seq: 1 }] });
    node.send({ event: { subject: 'p.x', stream: 'S', seq: 2, data: 7 } });
    await until(() => price.getSnapshot().value === 7, 'the value is shown');
    node.send({ event: { subject: 'p.x', stream: 'S', seq: 3, gone: 'deleted' } });
    await until(() => price.getSnapshot().value === undefined, 'the value is gone');
    assert.deepEqual(told, [undefined, 'deleted']);
    stop();
  }));
