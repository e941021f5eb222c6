// Waiting for things instead of for milliseconds.

/** How long anything may take that is bound to happen. */
const SOON_MS = 10_000;

/** Resolves when `condition` gives something other than nothing, `false` or 0; throws what it last threw. */
export async function until<T>(condition: () => T | Promise<T>, what: string, within = SOON_MS): Promise<NonNullable<T>> {
  const end = Date.now() + within;
  for (;;) {
    let last: unknown;
    try {
      const value = await condition();
      if (value) return value as NonNullable<T>;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw last ?? new Error(`not within ${within} ms: ${what}`);
    await pause(5);
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Until the returned function is called the waits between two attempts to come back to a WebSocket pass in no time. */
export function hurry(): () => void {
  const wait = globalThis.setTimeout;
  const isLong = (ms: number): boolean => (ms > 5_000 && ms < 10_000) || (ms > 30_000 && ms < 60_000);
  globalThis.setTimeout = ((run: () => void, ms = 0, ...more: []) => wait(run, isLong(ms) ? 300 : ms, ...more)) as typeof setTimeout;
  return () => void (globalThis.setTimeout = wait);
}

/** Numbers that look random and are the same for each seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
