// How far a subscription has come in each stream it reaches: pure bookkeeping, by the rules of docs/protocol.md,
// "Positions and resuming".
import { unreadable } from './error.js';
import type { Position } from './types.js';

/** A text of this form is what `cursor()` gives: `v1.STREAM~EPOCH~SEQ.STREAM~EPOCH~SEQ`. It fits a URL and an attribute. */
const PREFIX = 'v1';
const ENTRY = /^([^~]+)~([^~]+)~(\d{1,16})$/;

export class Cursor {
  // An epoch of '' is not known yet: sequences of a first replay come before their epoch.
  readonly #streams = new Map<string, { epoch: string; seq: number }>();

  constructor(positions: Iterable<Position> = []) {
    for (const position of positions) this.join(position);
  }

  #at(stream: string): { epoch: string; seq: number } {
    let entry = this.#streams.get(stream);
    if (!entry) this.#streams.set(stream, (entry = { epoch: '', seq: 0 }));
    return entry;
  }

  /** Moves on to an event's sequence; false where that was passed before, which makes it a duplicate. */
  raise(stream: string, seq: number): boolean {
    const entry = this.#at(stream);
    if (seq <= entry.seq) return false;
    entry.seq = seq;
    return true;
  }

  /** Takes over where a subscription joins, and its epoch. */
  join({ stream, epoch, seq = 0 }: Position): void {
    const entry = this.#at(stream);
    if (entry.epoch && entry.epoch !== epoch) entry.seq = seq;
    entry.seq = Math.max(entry.seq, seq);
    entry.epoch = epoch;
  }

  /** Takes over a checkpoint, of streams that are reached. */
  checkpoint(position: Position): void {
    const entry = this.#streams.get(position.stream);
    if (entry && (!entry.epoch || entry.epoch === position.epoch)) this.join(position);
  }

  /** Forgets a stream that was created again; that it is reached is remembered, so that checkpoints count. */
  reset(stream: string, epoch = ''): void {
    this.#streams.set(stream, { epoch, seq: 0 });
  }

  /** Whether this has come further than `other` in any stream of the same epoch. */
  isAheadOf(other: Cursor): boolean {
    return this.positions().some(({ stream, epoch, seq }) => {
      const there = other.#streams.get(stream);
      return !!there && there.epoch === epoch && there.seq < seq;
    });
  }

  /** What a node can resume from. */
  positions(): Position[] {
    return [...this.#streams].flatMap(([stream, { epoch, seq }]) => (epoch ? [{ stream, epoch, seq }] : []));
  }

  toString(): string {
    const escape = (name: string): string => encodeURIComponent(name).replace(/[.~]/g, (c) => (c === '.' ? '%2E' : '%7E'));
    return [PREFIX, ...this.positions().map((p) => `${escape(p.stream)}~${escape(p.epoch)}~${p.seq}`)].join('.');
  }

  /** Throws where the text is no cursor. */
  static parse(text: string): Cursor {
    const [prefix, ...parts] = String(text).split('.');
    try {
      if (prefix !== PREFIX) throw prefix;
      return new Cursor(
        parts.map((part) => {
          const [, stream, epoch, seq] = ENTRY.exec(part) ?? [];
          if (!stream || !epoch) throw part;
          return { stream: decodeURIComponent(stream), epoch: decodeURIComponent(epoch), seq: Number(seq) };
        }),
      );
    } catch {
      throw unreadable('after', 'cursor');
    }
  }
}
