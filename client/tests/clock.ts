// Time as a test wants it: many clients over connections in memory, none of which waits for a real timer.
import { mock } from 'node:test';
import { type Client, createClient } from '../src/client.js';
import { LIMITS } from '../src/testing/session.js';
import { type Wire, webSockets } from '../src/testing/wire.js';
import type { Config } from '../src/types.js';
import type { Frame } from './scripted.js';

/** One dial that has reached the node. */
export interface Dial {
  readonly at: number;
  readonly wire: Wire;
  readonly frames: Frame[];
}

export class Clock {
  readonly dials: Dial[] = [];
  readonly clients: (Client & { close(): void })[] = [];
  /** Whether dials reach the node. */
  reachable = true;
  /** Whether the node answers, and messages arrive. What came meanwhile waits. */
  answering = true;
  /** What the node does with `connect` instead of welcoming. */
  onConnect: ((wire: Wire) => void) | undefined;
  #queue: (() => void)[] = [];

  /** A window and a document that tests dispatch at. */
  readonly window = new EventTarget();
  readonly document = Object.assign(new EventTarget(), { visibilityState: 'visible', querySelector: () => null });

  readonly #config: Config = {
    url: 'ws://node.invalid/v1/ws',
    WebSocket: webSockets((wire) => {
      const dial: Dial = { at: Date.now(), wire, frames: [] };
      this.dials.push(dial);
      if (!this.reachable) return false;
      wire.onmessage = (text) => {
        for (const line of text.split('\n')) {
          const frame = JSON.parse(line) as Frame;
          dial.frames.push(frame);
          this.#queue.push(() => this.#answer(wire, frame));
        }
        void this.arrive();
      };
      return true;
    }),
  };

  client(): Client {
    const client = createClient(this.#config);
    this.clients.push(client);
    return client;
  }

  /** Lets what waits arrive, if messages do. */
  async arrive(): Promise<void> {
    if (this.answering) for (const run of this.#queue.splice(0)) run();
    await settle();
  }

  #answer(wire: Wire, frame: Frame): void {
    const send = (body: object): void => wire.send(JSON.stringify({ replyTo: frame.id, ...body }));
    const { subject } = (frame.subscribe ?? {}) as { subject?: string };
    if (frame.connect && this.onConnect) this.onConnect(wire);
    else if (frame.connect) send({ welcome: { connection: 'c', node: 'n', heartbeatMs: 25_000, limits: LIMITS } });
    else if (subject) send({ subscribed: { subject, delivery: 'live' } });
    else if (frame.ping) send({ error: { code: 'unsupported', message: 'm', retryable: false } });
  }

  /** Lets `ms` pass, and all that is due in them happen, in steps. */
  async pass(ms: number, step = ms): Promise<void> {
    for (let left = ms; left > 0; left -= step) {
      mock.timers.tick(Math.min(step, left));
      await settle();
    }
  }

  /** The machine sleeps: time goes on, and no timer runs. */
  sleep(ms: number): void {
    mock.timers.setTime(Date.now() + ms);
  }
}

export async function settle(): Promise<void> {
  for (let i = 0; i < 40; i++) await Promise.resolve();
}

/** Runs with a clock of its own in a page of its own. */
export async function withClock(run: (clock: Clock) => Promise<void>): Promise<void> {
  const clock = new Clock();
  const page = globalThis as unknown as Record<string, unknown>;
  const before = { document: page.document, addEventListener: page.addEventListener, removeEventListener: page.removeEventListener };
  const { window, document } = clock;
  Object.assign(page, {
    document,
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
  });
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    await run(clock);
  } finally {
    clock.clients.forEach((client) => client.close());
    mock.timers.reset();
    Object.assign(page, before);
  }
}
