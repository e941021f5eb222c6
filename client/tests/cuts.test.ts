// Connections that end at any byte, while 1,000 events per second run.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { type Client, createClient } from '../src/client.js';
import { World } from './real.js';
import { pause, random, until } from './wait.js';
import { SOCKET } from './world.js';

const SECONDS = Number(process.env.CLIENT_CUT_SECONDS ?? 8);
const PER_SECOND = 1_000;
const BATCH_MS = 20;
const PAGES = 3;
/** Some seconds of events at most: each page is cut again and again, and mostly after a second, so that it comes back soon. */
const BYTES = 500_000;

let world: World;
before(async () => {
  const limits = '[limits]\nframes_per_second = 10000\nframes_burst = 20000\n';
  world = await World.start(2, limits);
});
after(async () => world?.stop());

interface Witness {
  page: number;
  pattern: string;
  seqs: number[];
  gaps: number;
}

void it('1,000 events per second go once and in order to each handler, at whatever byte connections end', { timeout: (SECONDS + 60) * 1_000 }, async (t) => {
  const seed = Number(process.env.CLIENT_SEEDS ?? 11);
  const next = random(seed);
  const direct = (): Client & { close(): void } => createClient({ url: world.nodes[0]?.url ?? '', WebSocket: SOCKET });
  const publisher = direct();
  world.cutAfter = () => Math.floor(next() * BYTES);
  const pages = Array.from({ length: PAGES }, () => createClient({ url: world.url, WebSocket: SOCKET }));
  const witnesses: Witness[] = [];
  const back: number[] = [];
  try {
    for (const [page, client] of pages.entries()) {
      let away = 0;
      client.status.subscribe(({ status }) => {
        if (status !== 'online') away ||= Date.now();
        else if (away) back.push(Date.now() - away);
        if (status === 'online') away = 0;
      });
      for (const pattern of ['d.cut.*', 'd.cut.1', 'd.>']) {
        const witness: Witness = { page, pattern, seqs: [], gaps: 0 };
        witnesses.push(witness);
        const { ready } = client.subscribe(pattern, ({ seq = 0 }) => witness.seqs.push(seq), { onGap: () => void witness.gaps++ });
        await ready;
      }
    }
    const stored: { subject: string; seq: number }[] = [];
    const begun = Date.now();
    while (stored.length < SECONDS * PER_SECOND) {
      const count = (PER_SECOND * BATCH_MS) / 1_000;
      const batch = Array.from({ length: count }, async (_, i) => {
        const subject = `d.cut.${i % 4}`;
        const { seq = 0 } = await publisher.publish(subject, { number: stored.length + i });
        return { subject, seq };
      });
      stored.push(...(await Promise.all(batch)));
      await pause(begun + (stored.length / PER_SECOND) * 1_000 - Date.now());
    }
    const rate = stored.length / ((Date.now() - begun) / 1_000);
    world.cutAfter = undefined;
    stored.sort((a, b) => a.seq - b.seq);
    for (const { page, pattern, seqs, gaps } of witnesses) {
      const expected = stored.filter(({ subject }) => pattern !== 'd.cut.1' || subject === pattern).map(({ seq }) => seq);
      await until(() => seqs.length >= expected.length, `page ${page}, ${pattern}: everything arrives`, 30_000);
      assert.deepEqual([seqs, gaps], [expected, 0], `page ${page}, ${pattern}, seed ${seed}`);
    }
    const cuts = pages.reduce((sum, page) => sum + page.inspect().counters.dials - 1, 0);
    back.sort((a, b) => a - b);
    t.diagnostic(`seed ${seed}: ${stored.length} events, ${Math.round(rate)} per second, ${cuts} cuts; back after ms: p50 ${back[back.length >> 1]}, max ${back.at(-1)}`);
    assert.ok(cuts >= PAGES * SECONDS * 0.2, `${cuts} cuts`);
  } finally {
    [...pages, publisher].forEach((client) => client.close());
  }
});
