// How long to wait before the next attempt: one rule for all ways in which a connection ends, free of timers.

/** Milliseconds in which clients of one node come back after it; spreads a crowd, and nobody notices it. */
const FIRST_MS = 250;
/** After one attempt in vain the next is drawn from twice this, after two from four times, and so on. */
const BASE_MS = 250;
/** Nobody waits longer than this for a node that is back. */
const LONGEST_MS = 30_000;
/** A connection has worked when it was up for so long: one that is welcomed and thrown out at once has not. */
const PROVEN_MS = 1_000;

export class Backoff {
  /** Attempts since the last connection that worked. */
  attempt = 0;
  #welcomed: number | undefined;

  dialled(): void {
    this.attempt++;
  }

  welcomed(): void {
    this.#welcomed = Date.now();
  }

  /** The connection that was welcomed has ended. */
  lost(): void {
    if (this.#welcomed !== undefined && Date.now() - this.#welcomed >= PROVEN_MS) this.attempt = 0;
    this.#welcomed = undefined;
  }

  /** Milliseconds until the next attempt, drawn anew; never less than the node's `hint`. */
  next(hint = 0): number {
    const most = this.attempt ? Math.min(LONGEST_MS, BASE_MS * 2 ** this.attempt) : FIRST_MS;
    return hint + Math.random() * most;
  }
}
