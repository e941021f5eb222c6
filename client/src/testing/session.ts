// One connection to the fake node: answers frames as a node does.
import { ERROR_CODES } from '../codes.js';
import type { BodyOf, ServerFrame, WireError, WireEvent } from '../frames.js';
import { covers } from '../subject.js';
import { fetched, type Stream } from './streams.js';
import type { Wire } from './wire.js';

/** The limits that nodes tell by default. */
export const LIMITS = {
  messageBytes: 65_536,
  framesPerSecond: 100,
  framesBurst: 1_000,
  bytesPerSecond: 1_048_576,
  bytesBurst: 4_194_304,
  requestsInFlight: 16,
};
/** Longer than any test: silence of a fake node is no sign of anything. */
const HEARTBEAT_MS = 3_600_000;

/** What a session needs of its node. */
export interface SessionOwner {
  readonly streams: readonly Stream[];
  readonly broker: 'ok' | 'down';
  /** The user of a token; nobody where it is refused. */
  user(token: string | undefined): string | undefined;
  /** The code with which something is refused. */
  refused(subject: string): string | undefined;
  publish(subject: string, event: Partial<WireEvent>): NonNullable<ServerFrame['published']>;
  answer(subject: string, event: Partial<WireEvent>): Promise<unknown> | undefined;
}

type Incoming = { id?: number } & Partial<Record<string, unknown>>;

const refusal = (code: string, message: string, subject?: string): WireError => ({
  code,
  message,
  retryable: (ERROR_CODES as Record<string, { retryable: boolean }>)[code]?.retryable ?? false,
  ...(subject && { subject }),
});

export class Session {
  readonly subjects = new Set<string>();
  /** Subscriptions that wait for the broker. */
  readonly #waiting: (() => void)[] = [];
  #welcomed = false;

  constructor(
    readonly wire: Wire,
    readonly owner: SessionOwner,
    readonly number: number,
  ) {
    wire.onmessage = (text) => {
      for (const line of text.split('\n')) if (line && wire.open) this.#take(JSON.parse(line) as Incoming);
    };
  }

  send(...frames: ServerFrame[]): void {
    if (frames.length) this.wire.send(frames.map((frame) => JSON.stringify(frame)).join('\n'));
  }

  /** Tells an event once, however many patterns match. */
  event(event: WireEvent): void {
    if (this.matching(event.subject).length) this.send({ event });
  }

  matching(subject: string): string[] {
    return [...this.subjects].filter((pattern) => covers(pattern, subject));
  }

  /** Tells the state of the broker, and goes on with what waited for it. */
  ping(): void {
    if (!this.#welcomed) return;
    const { broker } = this.owner;
    this.send({ ping: { broker } });
    if (broker === 'ok') for (const run of this.#waiting.splice(0)) run();
  }

  #take(frame: Incoming): void {
    const { id } = frame;
    const has = <K extends string>(body: K): BodyOf<K> | undefined => frame[body] as BodyOf<K> | undefined;
    const reply = (answer: ServerFrame): void => this.send({ ...(id && { replyTo: id }), ...answer });
    const [connect, subscribe, unsubscribe] = [has('connect'), has('subscribe'), has('unsubscribe')];
    const [publish, request, fetch, refresh] = [has('publish'), has('request'), has('fetch'), has('refresh')];
    if (connect) this.#connect(connect.token, reply);
    else if (subscribe) this.#subscribe(subscribe, reply);
    else if (unsubscribe) {
      this.subjects.delete(unsubscribe.subject);
      reply({ unsubscribed: { subject: unsubscribe.subject } });
    } else if (publish) {
      const error = this.#refusal(publish.subject) ?? this.#away();
      reply(error ? { error } : { published: this.owner.publish(publish.subject, publish.event) });
    } else if (request) this.#request(request, reply);
    else if (fetch) {
      const error = this.#refusal(fetch.subject) ?? this.#away();
      const answer = error ? undefined : fetched(this.owner.streams, fetch);
      reply(answer ? { fetched: answer } : { error: error ?? refusal('not_stored', 'nothing stores it', fetch.subject) });
    } else if (refresh) {
      if (this.owner.user(refresh.token) === undefined) this.wire.close(4501, 'unauthorized');
      else reply({ refreshed: {} });
    } else if (id) reply({ error: refusal('unsupported', 'the fake node does not know this frame') });
  }

  #connect(token: string | undefined, reply: (frame: ServerFrame) => void): void {
    const user = this.owner.user(token);
    if (user === undefined) return this.wire.close(4501, 'unauthorized');
    this.#welcomed = true;
    const connection = `fake-${this.number}`;
    reply({ welcome: { connection, node: 'fake', user, heartbeatMs: HEARTBEAT_MS, limits: LIMITS } });
    if (this.owner.broker === 'down') this.ping();
  }

  #subscribe({ subject, after }: BodyOf<'subscribe'>, reply: (frame: ServerFrame) => void): void {
    const error = this.#refusal(subject);
    if (error) return reply({ error });
    if (this.owner.broker === 'down') return void this.#waiting.push(() => this.#subscribe({ subject, after: after ?? [] }, reply));
    const reached = this.owner.streams.filter((stream) => stream.reaches(subject));
    let whole = true;
    for (const stream of reached) {
      const from = after?.find((position) => position.stream === stream.name);
      const snapshot = !from && stream.delivery === 'latest';
      if (!from && stream.delivery === 'durable') whole = false;
      if (!from && !snapshot) continue;
      const { events, gap } = stream.read(subject, from, snapshot);
      if (gap) {
        whole = false;
        this.send({ gap });
      }
      if (events.length) this.send({ replay: { subject, events, ...(snapshot && { snapshot }) } });
    }
    this.subjects.add(subject);
    const classes = reached.map(({ delivery }) => delivery);
    const delivery = classes.includes('durable') ? 'durable' : (classes[0] ?? 'live');
    const positions = reached.map(({ position }) => position);
    reply({ subscribed: { subject, delivery, ...(positions.length && { positions }), ...(after?.length && whole && { recovered: true }) } });
  }

  #request({ subject, event, timeoutMs }: BodyOf<'request'>, reply: (frame: ServerFrame) => void): void {
    const error = this.#refusal(subject) ?? this.#away();
    const answer = error ? undefined : this.owner.answer(subject, event);
    if (!answer) return reply({ error: error ?? refusal('no_responders', 'no service answers', subject) });
    const timer = setTimeout(() => reply({ error: refusal('timeout', 'no answer in time', subject) }), timeoutMs);
    answer
      .then(
        (data) => reply({ response: { event: { subject, time: Date.now(), data } } }),
        (reason: { code?: string; message?: string }) =>
          reply({ error: { ...refusal('service_error', String(reason?.message ?? reason), subject), ...(reason?.code && { serviceCode: reason.code }) } }),
      )
      .finally(() => clearTimeout(timer));
  }

  #refusal(subject: string): WireError | undefined {
    const code = this.owner.refused(subject);
    return code === undefined ? undefined : refusal(code, 'the fake node refuses it', subject);
  }

  #away(): WireError | undefined {
    return this.owner.broker === 'down' ? refusal('broker_unavailable', 'the broker is away') : undefined;
  }
}
