// What a node tells of a set of patterns over HTTP, each frame under the number of the subscription that it is for. Knows how
// far it has come; how the frames travel is the business of an event stream, or of polls. docs/protocol.md, "Event streams".
import { CLOSE_CODES } from './codes.js';
import { Cursor } from './cursor.js';
import type { ServerFrame, WireError } from './frames.js';
import type { Http } from './http.js';
import { covers } from './subject.js';
import { LOST } from './transport.js';
import type { Position } from './types.js';

/** A subscription of the page: the number of its request, and where it began. */
export interface Pattern {
  readonly id: number | undefined;
  readonly after: Position[] | undefined;
}

export interface FeedOwner {
  frame(feed: Feed, frame: ServerFrame): void;
  /** It has ended; `error` is the node's refusal where that is one. */
  ended(feed: Feed, code: number, reason: string, error?: WireError): void;
}

/** Brings frames to a feed until its signal ends; rejects where the connection is lost, and says why. */
export type Way = (feed: Feed, http: Http) => Promise<void>;

const codeOf = (name: string | undefined): number =>
  Number(Object.entries(CLOSE_CODES).find(([, known]) => known === name)?.[0] ?? LOST);

export class Feed {
  /** Whether its patterns bring events: they all begin together. */
  isLive = false;
  /** How far it has come: one position for each stream that its patterns reach. */
  readonly cursor = new Cursor();

  readonly #owner: FeedOwner;
  readonly #abort = new AbortController();
  readonly #epochs = new Map<string, string>();
  /** How far the patterns are that have not gone live, but had a part of what is stored. */
  readonly #begun = new Map<string, Cursor>();
  /** Patterns that are refused while others may be granted. */
  readonly #refused = new Set<string>();
  #end: [code: number, reason: string] | undefined;

  constructor(
    way: Way,
    http: Http,
    readonly patterns: ReadonlyMap<string, Pattern>,
    owner: FeedOwner,
  ) {
    this.#owner = owner;
    way(this, http).then(
      () => this.#ended(...(this.#end ?? [LOST, 'the node has ended it'])),
      (error: unknown) => this.#ended(LOST, error instanceof Error ? error.message : String(error)),
    );
  }

  /** Ends with it. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  close(): void {
    this.#abort.abort();
  }

  /** The request for what has not come yet. */
  request(): RequestInit & { headers: Record<string, string> } {
    const subscriptions = [...this.patterns].flatMap(([subject, { after }]) => {
      if (this.#refused.has(subject)) return [];
      return { subject, after: this.isLive ? this.cursor.positions() : (this.#begun.get(subject)?.positions() ?? after) };
    });
    return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ subscriptions }) };
  }

  /** The node refuses all of it. */
  refuse(error: WireError | undefined): void {
    this.#ended(codeOf(error?.code), error?.message ?? '', error);
  }

  #ended(code: number, reason: string, error?: WireError): void {
    if (this.signal.aborted) return;
    this.close();
    this.#owner.ended(this, code, reason, error);
  }

  /** Follows how far it has come, and tells a frame once for each pattern that it is for. */
  take(frame: ServerFrame): void {
    const { event, replay, subscribed, gap, ping, goaway, error } = frame;
    const subject = subscribed?.subject ?? gap?.subject ?? frame.unsubscribed?.subject ?? error?.subject;
    if (event?.stream) this.cursor.raise(event.stream, event.seq ?? 0);
    // The node asks its broker again by itself.
    if (error && error.code !== 'broker_refused' && this.patterns.has(error.subject ?? '')) this.#refused.add(error.subject ?? '');
    if (subscribed || this.#refused.size === this.patterns.size) this.isLive = true;
    for (const position of [...(subscribed?.positions ?? []), ...(ping?.positions ?? [])]) this.cursor.join(position);
    if (gap?.stream && gap.reason === 'reset') this.cursor.reset(gap.stream, gap.epoch);
    else if (gap?.stream && gap.toSeq) this.cursor.raise(gap.stream, gap.toSeq);
    if (replay) this.#replay(replay);
    // Said before the end, with the reason of a Close frame.
    else if (goaway && !goaway.windowMs) this.#end = [codeOf(goaway.reason), goaway.reason ?? ''];
    else this.#tell(frame, subject);
  }

  #replay(replay: NonNullable<ServerFrame['replay']>): void {
    const { events = [], snapshot = false, complete, subject } = replay;
    const stream = events[0]?.stream ?? replay.stream;
    if (stream && replay.epoch) this.#epochs.set(stream, replay.epoch);
    const epoch = this.#epochs.get(stream ?? '');
    const position = stream && epoch && { stream, epoch, seq: events.at(-1)?.seq ?? 0 };
    if (position && this.isLive) this.cursor.join(position);
    for (const [pattern, { after }] of this.patterns) {
      if (subject && subject !== pattern) continue;
      // History is for those who asked for it; others have what comes from `subscribed` on.
      const wants = snapshot || this.isLive || after?.some((one) => one.stream === stream);
      if (wants && position && !this.isLive) {
        const begun = this.#begun.get(pattern) ?? new Cursor(after);
        begun.join(position);
        this.#begun.set(pattern, begun);
      }
      // Copies, since each becomes an event of its own.
      const matching = wants ? structuredClone(events.filter((event) => covers(pattern, event.subject))) : [];
      if (!matching.length && !complete) continue;
      this.#tell({ replay: { ...replay, subject: pattern, events: matching, ...(epoch && { epoch }) } }, pattern);
    }
  }

  #tell(frame: ServerFrame, subject: string | undefined): void {
    const { replyTo: _, ...body } = frame;
    const id = this.patterns.get(subject ?? '')?.id;
    if (!this.signal.aborted) this.#owner.frame(this, id ? { replyTo: id, ...body } : body);
  }
}
