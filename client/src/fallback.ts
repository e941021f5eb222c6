// A way to dial for pages whose WebSockets are blocked: answers the frames of a page as a node does, out of an event stream
// and requests over HTTP, or out of polls where that is held back. Loaded where WebSockets fail.
import { eventStream } from './event-stream.js';
import { Feed, type FeedOwner, type Pattern, type Way } from './feed.js';
import type { ServerFrame, Welcome } from './frames.js';
import { type Asking, Http } from './http.js';
import { longPoll } from './long-poll.js';
import { type Dial, LOST, type Transport, type TransportEvents } from './transport.js';
import type { Position } from './types.js';

/** A changed set of patterns is another request: what changes within so many milliseconds is one. */
const GATHER_MS = 50;
/** Until a request for a changed set that failed is made again, while the one before goes on. */
const AGAIN_MS = 1_000;
/** An event stream says its first word at once. Where nothing has come in so many milliseconds, a poll is made beside it. */
const HELD_BACK_MS = 1_500;
/** The refusals of patterns; all others are of the page. */
const OF_PATTERNS = ['bad_subject', 'bad_request', 'forbidden', 'subscription_limit', 'wildcard_limit'];

type Incoming = { id?: number } & Asking & {
    connect?: { token?: string };
    refresh?: { token: string };
    subscribe?: { subject: string; after?: Position[] };
    unsubscribe?: { subject: string };
    ping?: object;
  };

class Fallback implements Transport, FeedOwner {
  readonly #events: TransportEvents;
  readonly #http: Http;
  readonly #patterns = new Map<string, Pattern>();
  /** What brings events, and what is about to take over from it. */
  #current: Feed | undefined;
  #next: Feed | undefined;
  /** Polls beside an event stream of which nothing has come: the first word decides. */
  #polls: Feed | undefined;
  #way: Way = eventStream;
  /** Patterns have changed since the newest request. */
  #isChanged = false;
  #isWelcome = false;
  /** It is known whether event streams come through. */
  #isDecided = false;
  /** The newest request is welcome. */
  #isAnswered = false;
  #isOver = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #heldBack: ReturnType<typeof setTimeout> | undefined;
  /** What the next `welcome` answers. */
  #waiting: ServerFrame[] = [];
  /** Publishes go one after the other, so that they keep their order. */
  #published: Promise<unknown> = Promise.resolve();

  constructor(url: string, events: TransportEvents) {
    this.#http = new Http(url);
    this.#events = events;
    queueMicrotask(() => this.#isOver || events.opened());
  }

  send(text: string): void {
    for (const line of text.split('\n')) this.#take(JSON.parse(line) as Incoming);
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#heldBack);
    this.#http.close();
    for (const feed of [this.#current, this.#next, this.#polls]) feed?.close();
  }

  frame(feed: Feed, frame: ServerFrame): void {
    if (frame.welcome) {
      // Each poll is welcome; one of what carries the page already says nothing new.
      if (feed === this.#current) return;
      this.#decide(feed);
      this.#isDecided = this.#isAnswered = true;
      return this.#welcome(frame.welcome);
    }
    // Until the new one is live, the one before brings what is published, to all that it knows.
    if (frame.event && feed !== this.#current) return;
    const over = frame.unsubscribed?.subject ?? (frame.error?.code === 'broker_refused' ? undefined : frame.error?.subject);
    if (over !== undefined && this.#patterns.get(over)?.id === frame.replyTo) this.#patterns.delete(over);
    const { ping } = frame;
    this.#tell(ping ? { ping: { ...ping, ...this.#told } } : frame);
    if (feed === this.#next && feed.isLive) this.#takeOver();
  }

  ended(feed: Feed, code: number, reason: string, error?: ServerFrame['error']): void {
    if (error) this.#decide(feed);
    if (feed === this.#polls) this.#polls = undefined;
    if (feed === this.#next) this.#next = undefined;
    // The other one of the two may still come through.
    if (!error && !this.#isDecided && (this.#next ?? this.#polls)) return;
    if (error && OF_PATTERNS.includes(error.code)) return this.#refused(feed, error);
    if (feed !== this.#current && this.#current && (code === LOST || error?.retryable)) return this.#change(AGAIN_MS);
    if (error?.retryAfterMs) this.#tell({ error });
    this.#end(code, reason);
  }

  /** The first word has come, by `feed`. */
  #decide(feed: Feed): void {
    clearTimeout(this.#heldBack);
    const polls = this.#polls;
    this.#polls = undefined;
    if (feed !== polls) return polls?.close();
    this.#next?.close();
    this.#next = feed;
    this.#way = longPoll;
  }

  /** None of its patterns is granted. A request without a pattern is refused too, and shows that the node is there. */
  #refused(feed: Feed, error: NonNullable<ServerFrame['error']>): void {
    for (const [subject, pattern] of feed.patterns) {
      if (this.#patterns.get(subject) !== pattern) continue;
      this.#patterns.delete(subject);
      this.#tell({ ...(pattern.id && { replyTo: pattern.id }), error: { ...error, subject } });
    }
    const limits = { messageBytes: 65_536, framesPerSecond: 100, framesBurst: 1_000, bytesPerSecond: 2 ** 20, bytesBurst: 2 ** 22, requestsInFlight: 16 };
    this.#welcome({ connection: '', node: '', heartbeatMs: 15_000, limits });
    this.#current?.close();
    this.#current = undefined;
    if (this.#isChanged) this.#change(GATHER_MS);
  }

  #takeOver(): void {
    this.#current?.close();
    this.#current = this.#next;
    this.#next = undefined;
    if (this.#isChanged) this.#change(GATHER_MS);
  }

  #welcome(welcome: NonNullable<ServerFrame['welcome']>): void {
    if (!this.#isWelcome) this.#tell({ welcome: { ...welcome, ...this.#told } });
    this.#isWelcome = true;
    this.#answer();
  }

  /** What it says of itself. */
  get #told(): Pick<Welcome, 'transport'> {
    return { transport: this.#way === longPoll ? 'poll' : 'events' };
  }

  #answer(): void {
    for (const frame of this.#waiting.splice(0)) this.#tell(frame);
  }

  #take(frame: Incoming): void {
    const { id, connect, refresh, subscribe, unsubscribe, ping, publish, request, fetch } = frame;
    const replyTo = id ?? 0;
    if (connect) {
      this.#http.token = connect.token;
      this.#change(0);
    } else if (refresh) {
      this.#http.token = refresh.token;
      this.#waiting.push({ replyTo, refreshed: {} });
      this.#change(0);
    } else if (ping) {
      // Only another request shows whether the node is there, and it goes on where this stream may be dead.
      this.#waiting.push({ replyTo, pong: {} });
      if (this.#next && this.#isAnswered) this.#answer();
      else this.#change(0);
    } else if (subscribe) {
      this.#patterns.set(subscribe.subject, { id, after: subscribe.after });
      this.#change(GATHER_MS);
    } else if (unsubscribe) {
      this.#patterns.delete(unsubscribe.subject);
      this.#tell({ replyTo, unsubscribed: unsubscribe });
      this.#change(GATHER_MS);
    } else if (publish) this.#published = this.#published.then(() => this.#ask(replyTo, { publish }));
    else if (request ?? fetch) void this.#ask(replyTo, frame);
  }

  async #ask(replyTo: number, asking: Asking): Promise<void> {
    try {
      const once = (): Promise<ServerFrame> => this.#http.ask(asking);
      // A TCP connection that was idle may end as it is used: what is safe to repeat gets another one.
      const answer = await once().catch((error: unknown) => {
        if (asking.request || this.#isOver) throw error;
        return once();
      });
      this.#tell({ replyTo, ...answer });
    } catch (error) {
      // As on a WebSocket: whoever may ask again does so on the next connection.
      this.#end(LOST, error instanceof Error ? error.message : String(error));
    }
  }

  /** Asks for the set of patterns as it is in `ms`. One request is made after the other. */
  #change(ms: number): void {
    this.#isChanged = true;
    if (this.#next || this.#polls || this.#isOver) return;
    if (ms === 0) clearTimeout(this.#timer);
    else if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#isChanged = this.#isAnswered = false;
      const positions = this.#current?.cursor.positions();
      for (const [subject, pattern] of this.#patterns) {
        // One that is live goes on from where the stream is.
        if (this.#current?.patterns.get(subject)?.id !== pattern.id) continue;
        this.#patterns.set(subject, { ...pattern, after: positions });
      }
      const feed = (way: Way): Feed => new Feed(way, this.#http, new Map(this.#patterns), this);
      this.#next = feed(this.#way);
      if (!this.#isDecided) this.#heldBack = setTimeout(() => (this.#polls = feed(longPoll)), HELD_BACK_MS);
    }, ms);
  }

  #tell(frame: ServerFrame): void {
    if (!this.#isOver) this.#events.received(JSON.stringify(frame));
  }

  #end(code: number, reason: string): void {
    if (this.#isOver) return;
    this.close();
    this.#events.closed(code, reason);
  }
}

/** Dials by requests over HTTP. */
export const overHttp: Dial = (url, events) => new Fallback(url, events);
