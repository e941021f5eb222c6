// One handler of a subscription: joins it with what is stored, without a hole and without a duplicate, whenever it comes.
import { Cursor } from './cursor.js';
import { guarded } from './error.js';
import { gapOf, received } from './event.js';
import type { WireFetched } from './frames.js';
import type { Gap, NotifierError, NotifierEvent, Position } from './types.js';

/** Events that wait while the stored ones are read; with more the reading goes on instead, so nothing is lost. */
const BUFFERED = 10_000;
/** Milliseconds until a read that failed, or that the stream was not up to, is made again. */
const AGAIN_MS = 1_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What an application hears. Plain functions, so that copies of other versions can hand them over. */
export interface Sink {
  event(event: NotifierEvent): unknown;
  gap?: ((gap: Gap) => unknown) | undefined;
  error?: ((error: NotifierError) => unknown) | undefined;
  state?: ((state: 'live' | 'stale') => unknown) | undefined;
  /** What follows is all that there is: a snapshot, or else the history behind the cursor of the subscriber. */
  restart?: ((isSnapshot: boolean) => unknown) | undefined;
}

export interface Joining {
  readonly pattern: string;
  readonly cursor: Cursor;
  readonly delivery: string | undefined;
}

export type Read = (subject: string, last: boolean, after: Position[], signal: AbortSignal) => Promise<WireFetched>;

export interface Wish {
  snapshot?: boolean | undefined;
  after?: Cursor | undefined;
  label?: string | undefined;
}

export class Consumer {
  open = true;
  /** Of the read under way; most handlers never need one. */
  #abort: AbortController | undefined;
  /** Events that came before the consumer had joined; `undefined` once it has. */
  #buffer: NotifierEvent[] | undefined;
  #overflowed = false;
  /** How far stored events were read: a read may be ahead of what the subscription has brought so far. */
  #read: Cursor | undefined;
  /** Numbers the reads; the one that counts, while there is one. */
  #reads = 0;
  #reading: number | undefined;
  #joined = false;

  /** `early`: there before the subscription was sent, so that it hears all that the node sends of itself. */
  constructor(
    readonly sink: Sink,
    readonly wish: Wish,
    readonly early: boolean,
    readonly read: Read,
  ) {
    if (!early || wish.snapshot || wish.after) this.#buffer = [];
  }

  close(): void {
    this.open = false;
    this.#abort?.abort();
  }

  take(event: NotifierEvent): void {
    if (!this.open) return;
    if (!this.#buffer) {
      const { stream, seq = 0 } = event;
      if (!stream || !this.#read || this.#read.raise(stream, seq)) guarded(this.sink.event, event);
      return;
    }
    if (this.#buffer.length >= BUFFERED) {
      this.#overflowed = true;
      this.#buffer = [];
    }
    this.#buffer.push(event);
  }

  /** The subscription is live. */
  live(on: Joining): void {
    if (!this.open || this.#reading) return;
    if (this.#joined || !this.#buffer) return this.#join([]);
    const { snapshot, after } = this.wish;
    const latest = on.delivery === 'latest';
    // Of `latest` subjects the node has told everything already, to those who were there in time.
    const told = !after && !this.#overflowed && latest && this.early;
    if (on.delivery === 'live' || told || !(snapshot || after || latest)) return this.#join(this.#buffer);
    void this.#readStored(on, after?.positions() ?? [], !after);
  }

  stale(): void {
    if (this.open && this.#joined) guarded(this.sink.state, 'stale');
  }

  gap(gap: Gap, on: Joining): void {
    if (!this.open) return;
    if (gap.reason === 'reset' && gap.stream) this.#read?.reset(gap.stream);
    guarded(this.sink.gap, gap);
    // Who begins with a snapshot begins with one again; before the first time, it is still to come anyway.
    if (this.open && this.wish.snapshot && (this.#joined || this.#reading)) {
      this.#buffer = [];
      void this.#readStored(on, [], true);
    }
  }

  error(error: NotifierError): void {
    if (this.open) guarded(this.sink.error, error);
  }

  /** Reads what is stored until it meets what the subscription brings; the newest values, or the history `after`. */
  async #readStored(on: Joining, after: Position[], last: boolean): Promise<void> {
    const reading = (this.#reading = ++this.#reads);
    const read = (this.#read = new Cursor(after));
    let start = new Cursor(on.cursor.positions());
    let first = true;
    for (;;) {
      const fetched = await this.#attempt(on.pattern, last, read.positions());
      if (!this.open || reading !== this.#reading) return;
      const { events = [], positions = [], more, gaps = [] } = fetched ?? {};
      if (first) guarded(this.sink.restart, last);
      first = false;
      for (const gap of gaps) {
        if (gap.reason === 'reset' && gap.stream) read.reset(gap.stream);
        if (this.open) guarded(this.sink.gap, { ...gapOf(gap), subject: on.pattern });
      }
      // Who would begin with a snapshot, and has come from a cursor that does not reach, begins with one.
      if (gaps.length && !last && this.wish.snapshot && this.open) return this.#readStored(on, [], true);
      for (const event of events) {
        if (this.open && read.raise(event.stream ?? '', event.seq ?? 0)) guarded(this.sink.event, received(event, last, !last));
      }
      for (const position of positions) read.join(position);
      const behind = fetched && start.isAheadOf(read);
      if (this.#overflowed) {
        this.#overflowed = false;
        start = new Cursor(on.cursor.positions());
      } else if (!more && !behind) {
        break;
      } else if (!more) {
        await pause(AGAIN_MS);
      }
    }
    this.#reading = undefined;
    this.#join(this.#buffer ?? []);
  }

  /** One answer; nothing where the node has nothing to give, and again where it may have later. */
  async #attempt(subject: string, last: boolean, after: Position[]): Promise<WireFetched | undefined> {
    while (this.open) {
      this.#abort = new AbortController();
      try {
        return await this.read(subject, last, after, this.#abort.signal);
      } catch (error) {
        const failed = error as NotifierError;
        if (!this.open || failed.code === 'not_stored') return undefined;
        this.error(failed);
        if (!failed.retryable) return undefined;
        await pause(failed.retryAfterMs ?? AGAIN_MS);
      }
    }
    return undefined;
  }

  #join(events: NotifierEvent[]): void {
    this.#buffer = undefined;
    this.#joined = true;
    for (const event of events) this.take(event);
    if (this.open) guarded(this.sink.state, 'live');
  }
}

