// A node in the page's memory, for tests of components: no network, no timer of its own. The real library talks to it,
// frame by frame, so that components meet what they meet at a real node.
import type { ServerFrame, WireEvent } from '../frames.js';
import { covers } from '../subject.js';
import type { Config, NotifierError, PublishOptions } from '../types.js';
import { Session, type SessionOwner } from './session.js';
import { type FakeStream, meet, Stream } from './streams.js';
import { webSockets } from './wire.js';

export interface FakeNodeOptions {
  /** What is stored, by the name of the stream; all else is live. One durable stream of everything where absent. */
  streams?: Readonly<Record<string, FakeStream>>;
  /** The user of a token; nobody, so a refusal, where it gives `undefined`. Everybody is `test` where absent. */
  user?: (token: string | undefined) => string | undefined;
}

/** An event that the page has published, as the node got it. */
export interface FakePublished {
  readonly subject: string;
  readonly data: unknown;
  readonly id?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export type FakeStatus = 'online' | 'degraded' | 'waiting' | 'unauthorized' | 'closed';

export interface FakeNode {
  /** For `configure` or `createClient`. */
  readonly config: Config;
  /** Subjects and patterns that are subscribed now, each once. */
  readonly subjects: readonly string[];
  /** Connections that stand. */
  readonly connections: number;
  /** Tokens that clients have shown, `undefined` for none. */
  readonly tokens: readonly (string | undefined)[];
  /** What clients have published. */
  readonly published: readonly FakePublished[];
  /** Publishes an event as a service does: stored where a stream takes it, told to all who subscribed. */
  emit(subject: string, data: unknown, options?: Pick<PublishOptions, 'id' | 'type' | 'source' | 'headers' | 'time'>): void;
  /** Answers requests; an error that it throws reaches the caller as `service_error`. Stops by the returned function. */
  answer(subject: string, service: (data: never, subject: string) => unknown): () => void;
  /** Refuses everything of a subject or pattern with a code of the node, until the returned function is called. */
  refuse(subject: string, code?: NotifierError['code']): () => void;
  /** Brings the client into a status. It leaves `unauthorized` and `closed` by `configure` alone, as at a real node. */
  setStatus(status: FakeStatus): void;
  /** Breaks all connections, as a network does; clients come back by themselves. */
  cut(): void;
  /** Asks clients to connect anew before this connection ends, as a node does that is updated. */
  drain(): void;
  /** Says that tokens end soon: clients bring new ones. */
  expireToken(): void;
  /** Drops what a stream has stored, or all of them: who comes back later is told a gap. */
  expire(stream?: string): void;
  /** Makes a stream anew, or all of them: who subscribed is told a gap, `reset`. */
  recreate(stream?: string): void;
  /** Says that live events of a pattern were lost, as a node does to a client that is too slow. */
  lose(subject: string): void;
}

const ALL: Readonly<Record<string, FakeStream>> = { TEST: { subjects: ['>'] } };

export function createFakeNode({ streams = ALL, user = () => 'test' }: FakeNodeOptions = {}): FakeNode {
  const stored = Object.entries(streams).map(([name, options]) => new Stream(name, options));
  const sessions = new Set<Session>();
  const refusals = new Set<{ subject: string; code: string }>();
  const services = new Set<{ subject: string; service: (data: never, subject: string) => unknown }>();
  const tokens: (string | undefined)[] = [];
  const published: FakePublished[] = [];
  let status: FakeStatus = 'online';
  let dials = 0;

  const tell = (event: WireEvent): void => sessions.forEach((session) => session.event(event));
  const publish = (subject: string, event: Partial<WireEvent>): NonNullable<ServerFrame['published']> => {
    const whole = { time: Date.now(), ...event, subject };
    const stream = stored.find(({ options }) => options.subjects.some((pattern) => covers(pattern, subject)));
    if (!stream) {
      tell(whole);
      return {};
    }
    const { stored: fresh, seq } = stream.store(whole);
    if (fresh) tell(fresh);
    return { stream: stream.name, seq, ...(!fresh && { duplicate: true }) };
  };
  const end = (code?: number, reason?: string): void => {
    for (const { wire } of sessions) wire.close(code, reason);
    sessions.clear();
  };
  const owner: SessionOwner = {
    streams: stored,
    get broker() {
      return status === 'degraded' ? 'down' : 'ok';
    },
    user(token) {
      tokens.push(token);
      return status === 'unauthorized' ? undefined : user(token);
    },
    refused: (subject) => [...refusals].find((one) => meet(one.subject, subject))?.code,
    publish(subject, event) {
      const { data, id, headers } = event;
      published.push({ subject, data, ...(id !== undefined && { id }), ...(headers && { headers }) });
      return publish(subject, event);
    },
    answer(subject, { data }) {
      const found = [...services].find((one) => covers(one.subject, subject));
      return found && Promise.resolve().then(() => found.service(data as never, subject));
    },
  };
  const named = (name?: string): Stream[] => {
    const found = stored.filter((stream) => name === undefined || stream.name === name);
    if (!found.length) throw new Error(`the fake node has no stream ${name}`);
    return found;
  };

  return {
    config: {
      url: 'ws://fake.invalid/v1/ws',
      WebSocket: webSockets((wire) => {
        if (status === 'waiting') return false;
        const session = new Session(wire, owner, ++dials);
        sessions.add(session);
        wire.onclose = () => sessions.delete(session);
        if (status === 'closed') queueMicrotask(() => end(4510, 'user_limit'));
        return true;
      }),
    },
    get subjects() {
      return [...new Set([...sessions].flatMap(({ subjects }) => [...subjects]))];
    },
    get connections() {
      return sessions.size;
    },
    tokens,
    published,
    emit: (subject, data, options = {}) => void publish(subject, { ...options, data }),
    answer(subject, service) {
      const entry = { subject, service };
      services.add(entry);
      return () => void services.delete(entry);
    },
    refuse(subject, code = 'forbidden') {
      const entry = { subject, code };
      refusals.add(entry);
      return () => void refusals.delete(entry);
    },
    setStatus(next) {
      const before = status;
      status = next;
      if (next === 'waiting') end();
      else if (next === 'unauthorized') end(4501, 'unauthorized');
      else if (next === 'closed') end(4510, 'user_limit');
      else if (before !== next) sessions.forEach((session) => session.ping());
    },
    cut: () => end(),
    drain: () => sessions.forEach((session) => session.send({ goaway: { reconnectAfterMs: 0, reason: 'draining' } })),
    expireToken: () => sessions.forEach((session) => session.send({ tokenExpiring: { inMs: 30_000 } })),
    expire: (name) => named(name).forEach((stream) => stream.expire()),
    recreate(name) {
      for (const stream of named(name)) {
        const { seq } = stream.position;
        stream.recreate();
        for (const session of sessions) {
          const subjects = [...session.subjects].filter((subject) => stream.reaches(subject));
          const gap = { stream: stream.name, fromSeq: seq + 1, reason: 'reset' };
          session.send(...subjects.map((subject) => ({ gap: { ...gap, subject } })), { ping: { positions: [stream.position], broker: owner.broker } });
        }
      }
    },
    lose: (subject) =>
      sessions.forEach((session) => session.subjects.has(subject) && session.send({ gap: { subject, reason: 'overflow' } })),
  };
}
