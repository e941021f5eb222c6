// Whether the other side is still there. A timer that fires late proves nothing, because a page sleeps, freezes and
// blocks: time is read from the clock, data that waits in the queue gets its chance, and the node is asked before it is
// given up.

/** Milliseconds in which a node that is there has answered; with the dial that follows, a page is back within 3 s. */
const ANSWER_MS = 2_000;
/** A timer this late says that the page did not run, so the deadline is set anew, this much longer. */
const LATE_MS = 1_000;

/** Calls `expired` after `ms` in which the page ran; returns what cancels it. */
export function deadline(ms: number, expired: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const arm = (wait: number): void => {
    const due = Date.now() + wait;
    timer = setTimeout(() => (Date.now() - due >= LATE_MS ? arm(LATE_MS) : expired()), wait);
  };
  arm(ms);
  return () => clearTimeout(timer);
}

export class Watchdog {
  readonly #ask: () => void;
  readonly #dead: () => void;
  #silence = 0;
  #heard = Date.now();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #cancelProbe: (() => void) | undefined;

  constructor(ask: () => void, dead: () => void) {
    this.#ask = ask;
    this.#dead = dead;
  }

  /** From now on `silence` milliseconds without a sound are a reason to ask. */
  watch(silence: number): void {
    this.#silence = silence;
    this.#arm();
  }

  /** Something was received: proof enough, whatever it was. */
  heard(): void {
    this.#heard = Date.now();
    this.#cancelProbe?.();
    this.#cancelProbe = undefined;
  }

  /** Asks now; without a sound in time the other side is dead. */
  probe(): void {
    if (this.#cancelProbe) return;
    this.#cancelProbe = deadline(ANSWER_MS, this.#dead);
    this.#ask();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#cancelProbe?.();
  }

  #arm(): void {
    const left = this.#heard + this.#silence - Date.now();
    this.#timer = setTimeout(() => {
      if (Date.now() - this.#heard >= this.#silence) this.probe();
      this.#arm();
    }, Math.max(left, LATE_MS));
  }
}
