// What a client may send per second: a bucket that fills at a rate, free of timers.

/** The node sees messages closer together than they were sent; this share of its limit is left unused. */
const SHARE = 0.9;

export class Budget {
  #rate = 0;
  #burst = 0;
  #left = 0;
  #filled = Date.now();

  constructor(rate: number, burst: number) {
    this.change(rate, burst);
  }

  /** Takes over what the node tells; what was spent before counts. */
  change(rate: number, burst: number): void {
    this.#left += (burst - this.#burst) * SHARE;
    this.#rate = rate;
    this.#burst = burst;
  }

  /** Whether `cost` may be spent now. More than a full bucket may when it is full, as nothing else would help. */
  has(cost: number): boolean {
    const now = Date.now();
    const full = this.#burst * SHARE;
    this.#left = Math.min(full, this.#left + (Math.max(0, now - this.#filled) / 1000) * this.#rate * SHARE);
    this.#filled = now;
    return this.#left >= Math.min(cost, full);
  }

  spend(cost: number): void {
    this.#left -= cost;
  }
}
