// Everything that one page needs, put together once: what the facades of all its bundles talk to. The contract only grows,
// since a facade of one version may meet the kernel of another.
import { Calls } from './calls.js';
import type { Connection } from './connection.js';
import type { Sink } from './consumer.js';
import { Cursor } from './cursor.js';
import { Engine, type EngineOwner } from './engine.js';
import { failure, guarded } from './error.js';
import { freshId, gapOf, received, sent } from './event.js';
import type { ServerFrame } from './frames.js';
import { checkSubject } from './subject.js';
import { Subscriptions } from './subscriptions.js';
import type {
  Config,
  Fetched,
  FetchOptions,
  Inspection,
  NotifierError,
  Published,
  PublishOptions,
  RequestOptions,
  StatusInfo,
  Store,
  SubscribeOptions,
} from './types.js';
import { VERSION } from './version.js';

const PUBLISH_MS = 10_000;
const REQUEST_MS = 5_000;
const FETCH_MS = 30_000;
/** The longest that a timer can wait. */
const LONGEST_MS = 2 ** 31 - 1;

/** A number that a caller may have got wrong, as one that a node can read. */
const whole = (value: unknown, fallback: number): number =>
  Math.min(LONGEST_MS, Math.max(1, Math.ceil(Number(value ?? fallback) || fallback)));

const parsed = (after: string | undefined): Cursor | undefined => (after === undefined ? undefined : Cursor.parse(after));

/** What a kernel offers to facades: plain data and functions, known by name and never by class. */
export interface Kernel {
  readonly version: string;
  readonly status: Store<StatusInfo>;
  configure(config: Config): void;
  /** Adds a handler; the returned function takes it away. */
  subscribe(subject: string, sink: Sink, options: Pick<SubscribeOptions, 'snapshot' | 'after' | 'label'>): () => void;
  publish(subject: string, data: unknown, options: PublishOptions): Promise<Published>;
  request(subject: string, data: unknown, options: RequestOptions): Promise<unknown>;
  fetch(subject: string, options: FetchOptions): Promise<Fetched>;
  cursor(subject?: string): string | undefined;
  inspect(): Omit<Inspection, 'copies'>;
  close(): void;
}

/** `wanted` keeps it connected where nobody has subscribed. */
export function createKernel(wanted = false): Kernel {
  const calls = new Calls();
  const subscriptions = new Subscriptions(async (subject, last, after, signal) => {
    const { fetched } = await calls.call({ fetch: { subject, last, after } }, { signal, repeatable: true });
    return fetched ?? {};
  });
  const owner: EngineOwner = {
    opened: (connection) => subscriptions.opened(connection),
    welcomed: (connection) => calls.welcomed(connection),
    frame(connection: Connection, frame: ServerFrame) {
      calls.frame(connection, frame);
      subscriptions.frame(connection, frame);
    },
    lost(connection) {
      calls.lost(connection);
      subscriptions.lost(connection);
    },
    settled: (next, old) => subscriptions.settled(next) && !calls.waitOn(old),
    wanted: () => wanted || subscriptions.size > 0 || calls.size > 0,
  };
  const engine = new Engine(owner);

  /** Why nothing will come any more, until somebody configures the page anew. */
  const ended = (): NotifierError | undefined => {
    const { status, reason } = engine.status.getSnapshot();
    if (status !== 'closed' && status !== 'unauthorized') return undefined;
    return failure(status, reason || 'the connection has ended');
  };
  engine.status.subscribe(() => {
    const error = ended();
    if (error) calls.fail(error);
  });

  const call = async (...args: Parameters<Calls['call']>): Promise<ServerFrame> => {
    const error = ended();
    if (error) throw error;
    const answer = calls.call(...args);
    engine.start();
    return answer;
  };

  return {
    version: VERSION,
    status: engine.status,
    configure: (config) => engine.configure(config),
    close: () => engine.close(),

    subscribe(subject, sink, { snapshot, after, label }) {
      try {
        checkSubject(subject);
        const remove = subscriptions.add(subject, sink, { snapshot, label, after: parsed(after) });
        engine.start();
        return remove;
      } catch (error) {
        guarded(sink.error, error as NotifierError);
        return () => {};
      }
    },

    async publish(subject, data, { signal, timeout, ...attributes }) {
      checkSubject(subject);
      // An id makes it safe to repeat: a stream stores it once, whatever becomes of the connection.
      const id = attributes.id ?? freshId();
      const event = sent(data, { ...attributes, id });
      const options = { signal, timeout: whole(timeout, PUBLISH_MS), repeatable: true };
      const { published } = await call({ publish: { subject, event } }, options);
      return { duplicate: false, ...published, id };
    },

    async request(subject, data, { signal, timeout, ...attributes }) {
      checkSubject(subject);
      const timeoutMs = whole(timeout, REQUEST_MS);
      const body = { request: { subject, event: sent(data, attributes), timeoutMs } };
      const { response } = await call(body, { signal, timeout: timeoutMs, repeatable: false });
      return response && received(response.event).data;
    },

    async fetch(subject, { after, last, limit, signal, timeout }) {
      checkSubject(subject);
      const body = {
        subject,
        last: !!last,
        after: parsed(after)?.positions(),
        limit: limit ? whole(limit, 0) : undefined,
      };
      const options = { signal, timeout: whole(timeout, FETCH_MS), repeatable: true };
      const { fetched = {} } = await call({ fetch: body }, options);
      return {
        events: (fetched.events ?? []).map((event) => received(event, body.last, !body.last)),
        cursor: new Cursor(fetched.positions).toString(),
        more: !!fetched.more,
        gaps: (fetched.gaps ?? []).map((gap) => ({ ...gapOf(gap), subject })),
      };
    },

    cursor: (subject) => subscriptions.cursor(subject)?.toString(),

    inspect: () => ({
      version: VERSION,
      status: engine.status.getSnapshot(),
      ...(engine.current?.welcome && { connection: engine.current.welcome.connection }),
      subscriptions: subscriptions.inspect(),
      counters: { dials: engine.dials, ...subscriptions.counters },
    }),
  };
}
