// One tab of a worker: answers its frames as a node does, out of the kernel that all tabs share.
import { Cursor } from '../cursor.js';
import { decoded, encoded } from '../event.js';
import type { BodyOf, WireEvent } from '../frames.js';
import type { Sink } from '../consumer.js';
import type { Kernel } from '../kernel.js';
import { type FromPage, type FromWorker, READ_EVERY } from '../port.js';
import { LOST } from '../transport.js';
import type { Gap, NotifierError, NotifierEvent, Position, PublishOptions, StatusInfo } from '../types.js';
import type { Line, LineOwner, Lines } from './lines.js';

/** Milliseconds between two signs of life to a tab, each with a checkpoint. */
const HEARTBEAT_MS = 10_000;
/** Milliseconds for a tab to bring a token; one that is frozen never does. */
const TOKEN_MS = 5_000;
/** Characters that may wait for a tab that reads nothing, as a frozen one. It comes back from its cursors. */
const MOST_UNREAD = 64 * READ_EVERY;
/** A hint that is worth telling: what is shorter lies within the spread of a tab's own attempts. */
const HINT_MS = 1_000;
/** The kernel keeps to the node's limits for all tabs together. */
const LIMITS = {
  messageBytes: 2 ** 30,
  framesPerSecond: 1e6,
  framesBurst: 1e6,
  bytesPerSecond: 2 ** 30,
  bytesBurst: 2 ** 30,
  requestsInFlight: 1e6,
};

type Incoming = { id?: number } & Partial<Record<string, unknown>>;

/** An event as a frame carries it; its text is made once for all tabs. */
const texts = new WeakMap<NotifierEvent, string>();
function wire(event: NotifierEvent): string {
  let text = texts.get(event);
  if (text === undefined) {
    const { data, snapshot, replayed, ...attributes } = event;
    text = JSON.stringify({ ...attributes, ...payload(data) });
    texts.set(event, text);
  }
  return text;
}

const gapFrame = ({ stream, from, to, reason }: Gap, subject: string): object => ({ subject, stream, fromSeq: from, toSeq: to, reason });
const errorFrame = ({ code, message, retryable, subject, serviceCode, retryAfterMs }: NotifierError): object => ({
  code,
  message,
  retryable,
  subject,
  serviceCode,
  retryAfterMs,
});
const positionsOf = (cursor: string | undefined): Position[] => (cursor === undefined ? [] : Cursor.parse(cursor).positions());
const payload = (data: unknown): Partial<WireEvent> => (data instanceof Uint8Array ? { dataBase64: encoded(data) } : { data });

/** The data of a client's event, and the rest of it. */
function asked({ subject: _, data, dataBase64, ...options }: Partial<WireEvent>): [unknown, PublishOptions] {
  return [dataBase64 === undefined ? data : decoded(dataBase64), options];
}

async function fetched(kernel: Kernel, { subject, after, last = false, limit }: BodyOf<'fetch'>): Promise<object> {
  const from = after && { after: new Cursor(after).toString() };
  const { events, cursor, more, gaps } = await kernel.fetch(subject, { last, ...from, ...(limit && { limit }) });
  const told = events.map((event) => JSON.parse(wire(event)) as object);
  return { fetched: { events: told, positions: positionsOf(cursor), more, gaps: gaps.map((gap) => gapFrame(gap, subject)) } };
}

export class Tab implements LineOwner {
  readonly #port: MessagePort;
  readonly #lines: Lines;
  #url = '';
  #line: Line | undefined;
  /** What ends each subscription. */
  readonly #subscriptions = new Map<string, () => void>();
  #connect: number | undefined;
  #isWelcome = false;
  #brought: ((token: string | undefined) => void) | undefined;
  #told: NotifierEvent | undefined;
  #waiting: string[] = [];
  #unread = 0;
  #heartbeat: ReturnType<typeof setInterval> | undefined;

  constructor(port: MessagePort, lines: Lines) {
    this.#port = port;
    this.#lines = lines;
    port.onmessage = ({ data }: MessageEvent<FromPage>) => this.#received(data);
    // A page that crashed, in browsers that tell.
    port.addEventListener('close', () => this.#leave());
  }

  online({ status, node, user, transport }: StatusInfo): void {
    if (!this.#isWelcome) {
      this.#isWelcome = true;
      const connection = this.#line?.kernel.inspect().connection;
      this.#reply(this.#connect, { welcome: { connection, node, user, transport, heartbeatMs: HEARTBEAT_MS, limits: LIMITS } });
      this.#heartbeat = setInterval(() => this.#ping(), HEARTBEAT_MS);
    }
    this.#reply(0, { ping: { broker: status === 'degraded' ? 'down' : 'ok', transport } });
  }

  ended(code: number, reason: string, { retryAt = 0 }: StatusInfo): void {
    const retryAfterMs = retryAt - Date.now();
    if (retryAfterMs > HINT_MS) this.#reply(0, { error: { code: 'rate_limited', message: reason, retryable: true, retryAfterMs } });
    this.#flush();
    this.#post({ closed: [code, reason] });
    this.#leave();
  }

  token(): Promise<string | undefined> {
    this.#reply(0, { tokenExpiring: { inMs: 0 } });
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), TOKEN_MS);
      this.#brought = (token) => {
        clearTimeout(timer);
        resolve(token);
      };
    });
  }

  #received({ dial, text, read = 0, close }: FromPage): void {
    this.#unread -= read;
    if (dial !== undefined) {
      this.#url = dial;
      this.#post({ opened: true });
    }
    for (const line of text?.split('\n') ?? []) if (line) this.#take(JSON.parse(line) as Incoming);
    if (close) this.#leave();
  }

  #take(frame: Incoming): void {
    const { id } = frame;
    const has = <K extends string>(body: K): BodyOf<K> | undefined => frame[body] as BodyOf<K> | undefined;
    const [connect, subscribe, unsubscribe, refresh] = [has('connect'), has('subscribe'), has('unsubscribe'), has('refresh')];
    const [publish, request, fetch] = [has('publish'), has('request'), has('fetch')];
    if (connect && !this.#line) {
      this.#connect = id;
      this.#line = this.#lines.for(this.#url, connect.token);
      this.#line.join(this);
    }
    const kernel = this.#line?.kernel;
    if (!kernel) return;
    const answer = (asking: Promise<object>): void =>
      void asking.then(
        (body) => this.#reply(id, body),
        (error: NotifierError) => this.#reply(id, { error: errorFrame(error) }),
      );
    if (subscribe) this.#subscribe(kernel, id, subscribe);
    else if (unsubscribe) {
      this.#unsubscribe(unsubscribe.subject);
      this.#reply(id, { unsubscribed: { subject: unsubscribe.subject } });
    } else if (publish) {
      answer(kernel.publish(publish.subject, ...asked(publish.event)).then((published) => ({ published })));
    } else if (request) {
      const { subject, event, timeoutMs } = request;
      const [data, options] = asked(event);
      const answered = kernel.request(subject, data, { ...options, timeout: timeoutMs });
      answer(answered.then((told) => ({ response: { event: { subject, time: Date.now(), ...payload(told) } } })));
    } else if (fetch) {
      answer(fetched(kernel, fetch));
    } else if (refresh) {
      this.#brought?.(refresh.token);
      this.#reply(id, { refreshed: {} });
    } else if (frame.ping) this.#reply(id, { pong: {} });
  }

  #subscribe(kernel: Kernel, id: number | undefined, { subject, after }: BodyOf<'subscribe'>): void {
    this.#unsubscribe(subject);
    let isLive = false;
    let isOver = false;
    let undo: (() => void) | undefined;
    const end = (): void => {
      isOver = true;
      undo?.();
      if (this.#subscriptions.get(subject) === end) this.#subscriptions.delete(subject);
    };
    this.#subscriptions.set(subject, end);
    const sink: Sink = {
      event: (event) => {
        if (isLive && !event.replayed && !event.snapshot) this.#event(event);
        else this.#send(`{"replay":{"subject":${JSON.stringify(subject)},"snapshot":${event.snapshot},"events":[${wire(event)}]}}`);
      },
      gap: (gap) => this.#reply(0, { gap: gapFrame(gap, subject) }),
      state: (state) => {
        if (state !== 'live' || isLive) return;
        isLive = true;
        const delivery = kernel.inspect().subscriptions.find((one) => one.subject === subject)?.delivery ?? 'live';
        this.#reply(id, { subscribed: { subject, delivery, positions: positionsOf(kernel.cursor(subject)) } });
      },
      error: (error) => {
        // The kernel goes on asking for what the broker has refused.
        if (error.code === 'broker_refused') return this.#reply(0, { error: errorFrame(error) });
        end();
        if (isLive) this.#reply(0, { unsubscribed: { subject, reason: 'grant_revoked' } });
        else this.#reply(id, { error: errorFrame(error) });
      },
    };
    undo = kernel.subscribe(subject, sink, after?.length ? { after: new Cursor(after).toString() } : {});
    // A refusal may have ended it already.
    if (isOver) undo();
  }

  #unsubscribe(subject: string): void {
    this.#subscriptions.get(subject)?.();
  }

  /** Tells an event once, however many patterns of the tab match: the kernel tells all of them the same one in a row. */
  #event(event: NotifierEvent): void {
    if (this.#told === event) return;
    this.#told = event;
    this.#send(`{"event":${wire(event)}}`);
  }

  #ping(): void {
    const { transport } = this.#line?.kernel.status.getSnapshot() ?? {};
    this.#reply(0, { ping: { positions: positionsOf(this.#line?.kernel.cursor()), transport } });
  }

  #reply(id: number | undefined, body: object): void {
    this.#send(JSON.stringify(id ? { replyTo: id, ...body } : body));
  }

  #send(frame: string): void {
    // All that one task brings travels together.
    if (this.#waiting.push(frame) === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    if (!this.#waiting.length) return;
    const text = this.#waiting.join('\n');
    this.#waiting = [];
    this.#post({ text });
    this.#unread += text.length;
    if (this.#unread <= MOST_UNREAD) return;
    this.#post({ closed: [LOST, 'the page reads nothing'] });
    this.#leave();
  }

  #post(message: FromWorker): void {
    this.#port.postMessage(message);
  }

  /** Ends it. What is posted to a page that is gone, or has been told, goes nowhere. */
  #leave(): void {
    clearInterval(this.#heartbeat);
    this.#brought?.(undefined);
    for (const end of [...this.#subscriptions.values()]) end();
    this.#line?.leave(this);
    this.#waiting = [];
    this.#port.onmessage = null;
    this.#port.close();
  }
}
