// Everything breaks while events flow: every handler hears every stored event once and in order.
// CLIENT_SEEDS=1,2,3 and CLIENT_SECONDS=60 make it longer, CLIENT_KIND=transports chooses; with TEST_SIZE=full all
// transports have 10 minutes.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Client, createClient } from '../src/client.js';
import type { Config, Gap, NotifierEvent, Subscription } from '../src/types.js';
import { Cursor } from '../src/cursor.js';
import { Trie } from '../src/trie.js';
import { BLOCKED, FULL, World } from './real.js';
import { hurry, pause, random, until } from './wait.js';
import { SHARED, startWorkers } from './worker.js';
import { SOCKET } from './world.js';

const SEEDS = (process.env.CLIENT_SEEDS ?? '1,2').split(',').map(Number);
const SECONDS = Number(process.env.CLIENT_SECONDS ?? 12);
/** A shorter run in which all pages are tabs of one worker. */
const SHARED_SECONDS = SECONDS / 2;
/** A longer one at night, in which WebSockets are blocked and unblocked, and event streams held back. */
const TRANSPORTS_SECONDS = FULL ? 600 : SECONDS;
/** What the network carries, by turns, and which way is left then: each one has to be taken. */
const NETWORKS = [
  { way: 'events', blocks: true, holdsBack: false },
  { way: 'poll', blocks: true, holdsBack: true },
  { way: 'websocket', blocks: false, holdsBack: false },
];
/** Until one of the pages takes it, milliseconds. */
const TAKEN_MS = 60_000;
/** Bytes after which an event stream, or a connection of polls, may be cut. */
const CUT_BYTES = 30_000;
const PAGES = 3;
/** A page that was thrown out again and again waits up to 30 s. */
const ARRIVES_MS = 45_000;
const PATTERNS = ['d.>', 'd.a.*', 'd.*.1', 'd.b.>', 'd.c.2', '>'];

/** One handler and what it has to hear: everything behind `from`, or everything from its first event on. */
interface Witness {
  pattern: string;
  from: number | undefined;
  seqs: number[];
  gaps: Gap[];
  subscription: Subscription;
  open: boolean;
}

class Page {
  readonly client: Client & { close(): void };
  readonly witnesses: Witness[] = [];
  /** The newest value of each `latest` subject. */
  readonly values = new Map<string, unknown>();
  readonly back: number[] = [];
  /** How often each way carried it. */
  readonly ways: Record<string, number> = {};
  way: string | undefined;

  constructor(
    readonly world: World,
    readonly next: () => number,
    config: Config,
  ) {
    this.client = createClient({ url: world.url, ...config });
    this.client.subscribe('p.>', ({ subject, data }) => this.values.set(subject, data), { snapshot: true });
    let away: number | undefined;
    this.client.status.subscribe(({ status, transport = 'websocket' }) => {
      this.way = status === 'online' ? transport : undefined;
      if (this.way) this.ways[this.way] = (this.ways[this.way] ?? 0) + 1;
      if (status === 'online' && away !== undefined) this.back.push(Date.now() - away);
      away = status === 'online' ? undefined : (away ?? Date.now());
    });
  }

  subscribe(pattern: string, after: string | undefined, from: number | undefined): void {
    const witness: Witness = { pattern, from, seqs: [], gaps: [], open: true } as unknown as Witness;
    const hear = ({ stream, seq = 0 }: NotifierEvent): void => {
      if (stream !== 'DURABLE') return;
      witness.seqs.push(seq);
      // Any verb inside any event.
      if (this.next() < 0.002) this.verb();
      if (this.next() < 0.001) throw new Error('a handler that throws');
    };
    const options = { ...(after !== undefined && { after }), onGap: (gap: Gap) => void witness.gaps.push(gap) };
    witness.subscription = this.client.subscribe(pattern, hear, options);
    this.witnesses.push(witness);
  }

  /** What components do all day: come, with or without a cursor, and go. */
  verb(): void {
    const open = this.witnesses.filter((witness) => witness.open);
    const dice = this.next();
    const pattern = PATTERNS[Math.floor(this.next() * PATTERNS.length)] ?? '>';
    if (dice < 0.4 && open.length > 4) {
      const leaving = open[Math.floor(this.next() * open.length)];
      if (!leaving || leaving.from === 0) return;
      leaving.open = false;
      leaving.subscription.unsubscribe();
    } else if (open.length < 25) {
      const cursor = dice < 0.7 ? this.client.cursor('d.>') : undefined;
      const seq = cursor && Cursor.parse(cursor).positions().find(({ stream }) => stream === 'DURABLE')?.seq;
      this.subscribe(pattern, seq ? cursor : undefined, seq || undefined);
    }
  }
}

const RUNS = [
  ...SEEDS.map((seed) => ({ seed, kind: 'pages', seconds: SECONDS, config: { WebSocket: SOCKET } })),
  ...SEEDS.slice(0, 1).map((seed) => ({ seed, kind: 'tabs that share', seconds: SHARED_SECONDS, config: SHARED })),
  // One that is handed over is never replaced.
  ...SEEDS.slice(0, 1).map((seed) => ({ seed, kind: 'all transports', seconds: TRANSPORTS_SECONDS, config: {} as Config })),
];

startWorkers();
// Node 20 has none.
Object.assign(globalThis, { WebSocket: SOCKET });
for (const { seed, kind, seconds, config } of RUNS) {
  if (!kind.includes(process.env.CLIENT_KIND ?? '')) continue;
  void it(`every handler hears each stored event once and in order, whatever breaks: seed ${seed}, ${kind}`, { timeout: (seconds + 120) * 1_000 }, async (t) => {
    const thrown: unknown[] = [];
    t.mock.method(console, 'error', (error: unknown) => void thrown.push(error));
    const next = random(seed);
    const world = await World.start(2);
    const pages = Array.from({ length: PAGES }, () => new Page(world, next, config));
    try {
      for (const page of pages) for (const pattern of PATTERNS) page.subscribe(pattern, undefined, 0);
      await Promise.all(pages.flatMap((page) => page.witnesses.map(({ subscription }) => subscription.ready)));

      const end = Date.now() + seconds * 1_000;
      const isAll = !config.WebSocket;
      let turns = isAll ? NETWORKS.length : 0;
      const goesOn = (): boolean => Date.now() < end || turns > 0;
      const faults = { cuts: 0, kills: 0, drains: 0, brokers: 0 };
      let published = 0;
      const publish = async (): Promise<void> => {
        while (goesOn()) {
          const number = published++;
          const subject = `${next() < 0.8 ? 'd' : 'p'}.${'abc'[Math.floor(next() * 3)]}.${Math.floor(next() * 3)}`;
          await world.publish(subject, { number }, `e${seed}-${number}`);
        }
      };
      const verbs = async (): Promise<void> => {
        while (goesOn()) {
          await pause(20 * next());
          pages[Math.floor(next() * pages.length)]?.verb();
        }
      };
      const restart = async (signal: NodeJS.Signals): Promise<void> => {
        const node = world.nodes[Math.floor(next() * 2)];
        await node?.end(signal);
        await node?.start();
      };
      const breakThings = async (): Promise<void> => {
        while (goesOn()) {
          await pause(200 + 600 * next());
          const dice = next();
          if (dice < 0.65) {
            faults.cuts++;
            for (const socket of world.sockets) if (next() < 0.3) socket.destroy();
          } else if (dice < 0.8) {
            faults.kills++;
            await restart('SIGKILL');
          } else if (dice < 0.93) {
            faults.drains++;
            await restart('SIGTERM');
          } else {
            faults.brokers++;
            await world.nats.end('SIGKILL');
            await world.nats.start();
          }
        }
      };
      const breakNetworks = async (): Promise<void> => {
        for (let turn = 0; isAll && goesOn(); turn++, turns--) {
          const { way, blocks, holdsBack } = NETWORKS[turn % NETWORKS.length] ?? assert.fail();
          world.heal();
          world.webSockets = blocks ? BLOCKED[Math.floor(next() * BLOCKED.length)] : undefined;
          world.holdsBack = holdsBack;
          world.pollFails = () => next() < 0.1;
          world.cutAfter = () => (next() < 0.5 ? Math.floor(next() * CUT_BYTES) : Infinity);
          for (const socket of world.sockets) socket.destroy();
          await until(() => pages.some((page) => page.way === way), `seed ${seed}: ${way} where ${world.webSockets}`, TAKEN_MS);
          await pause(1_500 * next());
        }
      };
      const restore = isAll ? hurry() : () => {};
      await Promise.all([publish(), publish(), publish(), verbs(), breakThings(), breakNetworks()]).finally(restore);
      world.heal();

      // A node reads its streams a moment after the broker has acknowledged an event.
      await world.publish('d.end', 'end', `e${seed}-end`);
      let stored: NotifierEvent[] = [];
      await until(async () => {
        stored = await everything(world, 'd.>');
        return stored.some(({ id }) => id === `e${seed}-end`);
      }, 'the node has read all');
      const last = stored.at(-1)?.seq ?? 0;
      const values = new Map((await everything(world, 'p.>', true)).map(({ subject, data }) => [subject, data]));
      for (const page of pages) {
        await until(() => judge(page, stored, last), `seed ${seed}: everything arrives`, ARRIVES_MS);
        await until(() => {
          for (const [subject, data] of values) assert.deepEqual(page.values.get(subject), data, subject);
          return true;
        }, 'the newest values', 10_000);
      }
      const calls = pages.flatMap((page) => page.witnesses).reduce((sum, { seqs }) => sum + seqs.length, 0);
      const handlers = pages.reduce((sum, page) => sum + page.witnesses.length, 0);
      const ways = pages.map((page) => JSON.stringify(page.ways)).join(' ');
      const back = pages.flatMap((page) => page.back).sort((a, b) => a - b);
      const at = (share: number): number => back[Math.floor(back.length * share)] ?? 0;
      t.diagnostic(
        `seed ${seed}, ${kind}: ${stored.length} stored events, ${handlers} handlers, ${calls} calls; ${JSON.stringify(faults)}; ${ways}; ` +
          `back after ms: p50 ${at(0.5)}, p95 ${at(0.95)}, max ${back.at(-1) ?? 0} of ${back.length}`,
      );
      assert.deepEqual(thrown.filter((error) => !String(error).includes('a handler that throws')), []);
    } finally {
      pages.forEach(({ client }) => client.close());
      await world.stop();
    }
  });
}

/** All that the stream holds. */
async function everything(world: World, subject: string, last = false): Promise<NotifierEvent[]> {
  const client = createClient({ url: world.nodes[0]?.url ?? '', WebSocket: SOCKET });
  try {
    const events: NotifierEvent[] = [];
    for (let cursor: string | undefined, more = true; more; ) {
      const page = await client.fetch(subject, { last, ...(cursor !== undefined && { after: cursor }) });
      events.push(...page.events);
      ({ cursor, more } = page);
    }
    return events;
  } finally {
    client.close();
  }
}

/** Throws where a handler has not heard exactly what it should. */
function judge({ witnesses }: Page, stored: readonly NotifierEvent[], last: number): true {
  for (const { pattern, from, seqs, gaps, open } of witnesses) {
    const trie = new Trie<true>();
    trie.set(pattern, true);
    assert.deepEqual(gaps, [], pattern);
    const begin = from ?? (seqs[0] ?? last + 1) - 1;
    const end = open ? last : (seqs.at(-1) ?? 0);
    const expected = stored
      .filter(({ subject, seq = 0 }) => seq > begin && seq <= end && trie.match(subject).length)
      .map(({ seq }) => seq);
    const missing = expected.filter((seq) => !seqs.includes(seq as number)).slice(0, 5);
    assert.deepEqual(missing, [], `${pattern} after ${from}: missing, of ${seqs.length} heard`);
    assert.deepEqual(seqs, expected, `${pattern} after ${from}`);
  }
  return true;
}
