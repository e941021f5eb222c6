// Events that are lost for good, in each way in which they can be: told once to everybody, and then all is as at the node.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createClient } from '../src/client.js';
import { createFakeNode, type FakeNode } from '../src/testing/node.js';
import { until } from './wait.js';

type Carts = Record<string, unknown>;

/** What a fault leaves behind for sure: events of before that the node no longer has. */
const LOSSES: Record<string, { lose: (node: FakeNode) => void; reason: string }> = {
  'passed their retention while it was away': {
    lose(node) {
      node.setStatus('waiting');
      node.emit('shop.b', 'dropped');
      node.expire();
      node.emit('shop.c', 3);
      node.setStatus('online');
    },
    reason: 'expired',
  },
  'went with their stream, which was made anew': {
    lose(node) {
      node.recreate();
      node.emit('shop.c', 3);
    },
    reason: 'reset',
  },
  'went with their stream, which was made anew while it was away': {
    lose(node) {
      node.setStatus('waiting');
      node.recreate();
      node.emit('shop.c', 3);
      node.setStatus('online');
    },
    reason: 'reset',
  },
  'were too many for it': {
    lose(node) {
      node.expire();
      node.emit('shop.c', 3);
      node.lose('shop.>');
    },
    reason: 'overflow',
  },
};

for (const [what, { lose, reason }] of Object.entries(LOSSES)) {
  void it(`events that ${what} are one gap for each handler, and a store is as at the node again`, async () => {
    const node = createFakeNode({ streams: { S: { subjects: ['shop.>'] } } });
    const client = createClient(node.config);
    try {
      node.emit('shop.a', 1);
      const gaps: string[][] = [[], [], []];
      const onGap = (number: number) => (gap: { subject: string; reason: string }) => void gaps[number]?.push(`${gap.subject} ${gap.reason}`);
      const heard: unknown[] = [];
      await client.subscribe('shop.>', ({ data }) => heard.push(data), { onGap: onGap(0) }).ready;
      await client.subscribe('shop.>', () => {}, { snapshot: true, onGap: onGap(1) }).ready;
      const carts = client.live<'shop.>', Carts>('shop.>', {
        reduce: (all, { subject, data }) => ({ ...all, [subject]: data }),
        onGap: onGap(2),
      });
      carts.subscribe(() => {});
      await until(() => carts.getSnapshot().value?.['shop.a'] === 1, 'the first value');
      lose(node);
      await until(() => carts.getSnapshot().value?.['shop.c'] === 3, 'the newest value');
      // What the node has lost is gone from the page as well.
      const { events } = await client.fetch('shop.>', { last: true });
      const stored = Object.fromEntries(events.map(({ subject, data }) => [subject, data]));
      await until(() => assert.deepEqual(carts.getSnapshot().value, stored) === undefined, 'the same as at the node');
      assert.deepEqual(stored, { 'shop.c': 3 });
      await until(() => heard.includes(3), 'the handler without a snapshot goes on');
      node.emit('shop.a', 4);
      await until(() => carts.getSnapshot().value?.['shop.a'] === 4, 'what comes next');
      assert.deepEqual(gaps, Array.from({ length: 3 }, () => [`shop.> ${reason}`]));
      assert.equal(heard.filter((data) => data === 3).length, 1);
    } finally {
      client.close();
    }
  });
}
