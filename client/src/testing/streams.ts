// What the fake node stores: events of each stream under sequences, as JetStream does.
import type { WireEvent, WireFetched, WireGap } from '../frames.js';
import { covers } from '../subject.js';
import type { Position } from '../types.js';

export interface FakeStream {
  /** Subjects and patterns that it stores. */
  subjects: readonly string[];
  /** `durable` tells every event, `latest` the newest of each subject. `durable` where absent. */
  delivery?: 'durable' | 'latest';
}

export type Stored = WireEvent & { stream: string; seq: number };

/** Whether a subject exists that both patterns match. */
export function meet(a: string, b: string): boolean {
  const [x, y] = [a.split('.'), b.split('.')];
  for (let i = 0; i < x.length && i < y.length; i++) {
    if (x[i] === '>' || y[i] === '>') return true;
    if (x[i] !== y[i] && x[i] !== '*' && y[i] !== '*') return false;
  }
  return x.length === y.length;
}

/** The newest event of each subject, in the order of the stream. */
const newest = (events: readonly Stored[]): Stored[] =>
  [...new Map(events.map((event) => [event.subject, event])).values()].sort((a, b) => a.seq - b.seq);

let epochs = 0;

export class Stream {
  readonly delivery: 'durable' | 'latest';
  #epoch = '';
  #events: Stored[] = [];
  #ids = new Map<string, number>();
  #first = 1;
  #last = 0;

  constructor(
    readonly name: string,
    readonly options: FakeStream,
  ) {
    this.delivery = options.delivery ?? 'durable';
    this.recreate();
  }

  /** Whether it stores a subject that the pattern matches. */
  reaches(pattern: string): boolean {
    return this.options.subjects.some((subject) => meet(subject, pattern));
  }

  /** Where its end is. */
  get position(): Position {
    return { stream: this.name, epoch: this.#epoch, seq: this.#last };
  }

  /** Stores an event; a repeat under one id is stored once, and gives the sequence of the first. */
  store(event: WireEvent): { stored?: Stored; seq: number } {
    const key = event.id === undefined ? undefined : `${event.subject} ${event.id}`;
    const known = key === undefined ? undefined : this.#ids.get(key);
    if (known) return { seq: known };
    const seq = ++this.#last;
    if (key !== undefined) this.#ids.set(key, seq);
    const stored = { ...event, stream: this.name, seq };
    this.#events.push(stored);
    return { stored, seq };
  }

  /** Events of a pattern behind a position, or from the first; and what is missing. */
  read(pattern: string, after: Position | undefined, last: boolean): { events: Stored[]; gap?: WireGap } {
    const matching = this.#events.filter(({ subject }) => covers(pattern, subject));
    if (last) return { events: newest(matching) };
    if (!after) return { events: matching };
    const told = { subject: pattern, stream: this.name };
    if (after.epoch !== this.#epoch || after.seq > this.#last) {
      return { events: matching, gap: { ...told, fromSeq: after.seq + 1, reason: 'reset' } };
    }
    const events = matching.filter(({ seq }) => seq > after.seq);
    const isMissing = after.seq + 1 < this.#first && this.delivery === 'durable';
    return {
      events: this.delivery === 'latest' ? newest(events) : events,
      ...(isMissing && { gap: { ...told, fromSeq: after.seq + 1, toSeq: this.#first - 1, reason: 'expired' } }),
    };
  }

  /** Drops all that it has stored, as its retention does in time. */
  expire(): void {
    this.#events = [];
    this.#first = this.#last + 1;
  }

  /** Makes it anew: empty, from sequence 1, under another epoch. */
  recreate(): void {
    this.#epoch = `fake-${++epochs}`;
    this.#events = [];
    this.#ids.clear();
    this.#first = 1;
    this.#last = 0;
  }
}

/** The answer to `fetch`; nothing where no stream stores what the pattern matches. */
export function fetched(
  streams: readonly Stream[],
  { subject, after, last, limit }: { subject: string; after?: Position[] | undefined; last?: boolean; limit?: number | undefined },
): WireFetched | undefined {
  const reached = streams.filter((stream) => stream.reaches(subject));
  if (!reached.length) return undefined;
  const events: Stored[] = [];
  const gaps: WireGap[] = [];
  const positions: Position[] = [];
  let more = false;
  for (const stream of reached) {
    const from = after?.find((position) => position.stream === stream.name);
    const read = stream.read(subject, from, !!last);
    const room = limit ? Math.max(0, limit - events.length) : Infinity;
    const taken = read.events.slice(0, room);
    if (read.gap) gaps.push(read.gap);
    events.push(...taken);
    const isCut = taken.length < read.events.length;
    more ||= isCut;
    const { position } = stream;
    positions.push(isCut && !last ? { ...position, seq: taken.at(-1)?.seq ?? from?.seq ?? 0 } : position);
  }
  return { events, positions, ...(more && { more }), ...(gaps.length && { gaps }) };
}
