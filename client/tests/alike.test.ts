// A client meets the same at the fake node, at a real one, and at a real one that it shares with other tabs.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Client, createClient } from '../src/client.js';
import { createFakeNode, type FakeNode } from '../src/testing/node.js';
import type { NotifierEvent } from '../src/types.js';
import { World } from './real.js';
import { pause, until } from './wait.js';
import { SHARED, startWorkers } from './worker.js';
import { SOCKET } from './world.js';

interface Place {
  client(): Client & { close(): void };
  publish(subject: string, data: unknown, id: string): Promise<void>;
  cut(): void;
}

let world: World;
let tabs: World;
let node: FakeNode;
before(async () => {
  startWorkers();
  node = createFakeNode({ streams: { DURABLE: { subjects: ['d.>'] }, LATEST: { subjects: ['p.>'], delivery: 'latest' } } });
  [world, tabs] = await Promise.all([World.start(1), World.start(1)]);
});
after(() => Promise.all([world?.stop(), tabs?.stop()]));

const PLACES: Record<string, Place> = {
  fake: {
    client: () => createClient(node.config),
    publish: async (subject, data, id) => node.emit(subject, data, { id }),
    cut: () => node.cut(),
  },
  real: {
    client: () => createClient({ url: world.url, WebSocket: SOCKET }),
    publish: (subject, data, id) => world.publish(subject, data, id),
    cut: () => world.sockets.forEach((socket) => socket.destroy()),
  },
  shared: {
    client: () => createClient({ url: tabs.url, ...SHARED }),
    publish: (subject, data, id) => tabs.publish(subject, data, id),
    cut: () => tabs.sockets.forEach((socket) => socket.destroy()),
  },
};

const told = ({ subject, data, id, stream, snapshot, replayed }: NotifierEvent): unknown =>
  [subject, data, id, stream, snapshot, replayed];

/** A node reads its streams a moment after the broker has acknowledged an event. */
const readable = (client: Client, subject: string, data: unknown): Promise<boolean> =>
  until(async () => (await client.fetch(subject)).events.some((event) => event.data === data), `${String(data)} can be read`);

for (const [name, place] of Object.entries(PLACES)) {
  void describe(`at the ${name} node`, () => {
    const test = (title: string, run: (client: Client) => Promise<void>): void =>
      void it(title, async () => {
        const client = place.client();
        try {
          await run(client);
        } finally {
          client.close();
        }
      });

    test('a durable subject is heard once and in order, also what came while nobody was connected', async (client) => {
      const heard: unknown[] = [];
      await client.subscribe('d.once.*', (event) => heard.push(told(event))).ready;
      assert.equal(client.inspect().subscriptions[0]?.delivery, 'durable');
      await place.publish('d.once.a', 1, 'once-1');
      await until(() => heard.length === 1, 'the first event');
      place.cut();
      await place.publish('d.once.a', 2, 'once-2');
      await place.publish('d.once.a', 2, 'once-2');
      await place.publish('d.once.b', 3, 'once-3');
      await until(() => heard.length === 3, 'what was missed');
      const events = heard.map((event) => (event as unknown[]).slice(0, 4));
      assert.deepEqual(events, [['d.once.a', 1, 'once-1', 'DURABLE'], ['d.once.a', 2, 'once-2', 'DURABLE'], ['d.once.b', 3, 'once-3', 'DURABLE']]);
    });

    test('a latest subject tells its newest values first, to those who come late as well', async (client) => {
      await place.publish('p.new.a', 1, 'new-1');
      await place.publish('p.new.b', 2, 'new-2');
      await place.publish('p.new.a', 3, 'new-3');
      await readable(client, 'p.new.>', 3);
      for (const _ of [1, 2]) {
        const heard: unknown[] = [];
        await client.subscribe('p.new.>', (event) => heard.push(told(event))).ready;
        assert.deepEqual(heard, [['p.new.b', 2, 'new-2', 'LATEST', true, false], ['p.new.a', 3, 'new-3', 'LATEST', true, false]]);
      }
    });

    test('what is stored is read in pieces, by cursor, and by the newest of each subject', async (client) => {
      for (const number of [1, 2, 3]) await place.publish(`d.read.${number % 2}`, number, `read-${number}`);
      await readable(client, 'd.read.*', 3);
      const first = await client.fetch('d.read.*', { limit: 2 });
      assert.deepEqual([first.events.map(({ data }) => data), first.more], [[1, 2], true]);
      const rest = await client.fetch('d.read.*', { after: first.cursor });
      assert.deepEqual([rest.events.map(told), rest.more], [[['d.read.1', 3, 'read-3', 'DURABLE', false, true]], false]);
      const newest = await client.fetch('d.read.*', { last: true });
      assert.deepEqual(newest.events.map(({ data }) => data), [2, 3]);
      await assert.rejects(client.fetch('live.x'), { code: 'not_stored' });
    });

    test('a page that comes later goes on from a cursor', async (client) => {
      await place.publish('d.later.x', 1, 'later-1');
      await readable(client, 'd.later.x', 1);
      const { cursor } = await client.fetch('d.later.x');
      await place.publish('d.later.x', 2, 'later-2');
      await readable(client, 'd.later.x', 2);
      const heard: unknown[] = [];
      client.subscribe('d.later.x', ({ data, replayed }) => heard.push([data, replayed]), { after: cursor });
      await until(() => heard.length === 1, 'what came behind the cursor');
      assert.deepEqual(heard, [[2, true]]);
    });

    test('state that a component loads itself is joined without a hole, if its position was taken first', async (client) => {
      // What the component's own service stores, and tells by events while the component loads.
      const stored: Record<string, number> = {};
      let number = 0;
      let isOpen = true;
      const change = async (): Promise<void> => {
        const subject = `d.own.${++number % 3}`;
        stored[subject] = number;
        await place.publish(subject, number, `own-${number}`);
      };
      for (let i = 0; i < 5; i++) await change();
      const service = (async () => {
        while (isOpen) {
          await change();
          await pause(1);
        }
      })();
      try {
        // Another component has the subscription already: who comes late reads what is behind its own position.
        await client.subscribe('d.own.*', () => {}).ready;
        const { cursor } = await client.fetch('d.own.*', { last: true });
        const begun = number;
        await until(() => number > begun + 5, 'changes after the position');
        const state = { ...stored };
        const loaded = number;
        await until(() => number > loaded + 5, 'changes after the state');
        const seen: number[] = [];
        client.subscribe('d.own.*', ({ subject, data }) => {
          seen.push(data as number);
          state[subject] = data as number;
        }, { after: cursor });
        await until(() => number > loaded + 15, 'changes after the subscription');
        isOpen = false;
        await service;
        await until(() => seen.at(-1) === number, 'the last change');
        assert.deepEqual(state, stored);
        assert.ok((seen[0] ?? Infinity) <= begun + 1, `${seen[0]} is behind ${begun + 1}`);
        assert.deepEqual(seen, seen.map((_, i) => (seen[0] ?? 0) + i));
      } finally {
        isOpen = false;
        await service;
      }
    });

    test('what is published is stored once under its id, and live subjects have no sequence', async (client) => {
      const { stream, seq, duplicate } = await client.publish('d.mine', 1, { id: 'mine-1' });
      assert.deepEqual([stream, duplicate], ['DURABLE', false]);
      assert.deepEqual(await client.publish('d.mine', 1, { id: 'mine-1' }), { id: 'mine-1', stream, seq, duplicate: true });
      assert.deepEqual(await client.publish('live.mine', 1, { id: 'm' }), { id: 'm', duplicate: false });
      await assert.rejects(client.request('nobody.there', 1), { code: 'no_responders' });
    });
  });
}
