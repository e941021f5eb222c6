// One kernel per page, however many bundles bring a copy of this library, in however many versions. All meet at one symbol;
// the newest copy that has been asked for something by the time the page is parsed runs for all.
import { createKernel, type Kernel } from './kernel.js';
import { VERSION } from './version.js';

/** The major version of the contract between copies stands in the name: another major has a page of its own. */
const KEY = Symbol.for('notifier.client.v1');

export interface Shared {
  readonly copies: { version: string; create: () => Kernel }[];
  kernel?: Kernel;
  /** What copies asked for before there was a kernel, in order. */
  waiting: ((kernel: Kernel) => void)[];
}

const numbers = (version: string): number[] => version.split(/[.-]/).map((part) => Number(part) || 0);

/** Whether version `a` is newer than `b`. */
export function isNewer(a: string, b: string): boolean {
  const [x, y] = [numbers(a), numbers(b)];
  const at = [0, 1, 2].find((i) => x[i] !== y[i]) ?? 0;
  return (x[at] ?? 0) > (y[at] ?? 0);
}

function elect(shared: Shared): void {
  if (shared.kernel) return;
  const newest = shared.copies.reduce((a, b) => (isNewer(b.version, a.version) ? b : a));
  const kernel = (shared.kernel = newest.create());
  const waiting = shared.waiting;
  shared.waiting = [];
  for (const run of waiting) run(kernel);
}

/** Whether scripts of the page, each a task of its own, may still be on their way. */
function isParsing(): boolean {
  const state = globalThis.document?.readyState;
  if (state !== 'interactive') return state === 'loading';
  // Module scripts run in this state, before `DOMContentLoaded`; those that are added later run in it as well.
  const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  return navigation?.domContentLoadedEventStart === 0;
}

let joined: Shared | undefined;

/** The page's meeting place; this copy shows itself there when it is first used, so that an import has no effect. */
export function shared(): Shared {
  if (joined) return joined;
  const page = globalThis as { [KEY]?: Shared };
  const { copies } = (joined = page[KEY] ??= { copies: [], waiting: [] });
  copies.push({ version: VERSION, create: createKernel });
  if (!joined.kernel && copies.length === 1) {
    const first = joined;
    if (isParsing()) globalThis.addEventListener('DOMContentLoaded', () => elect(first), { once: true });
    else elect(first);
  }
  return joined;
}

/** Runs with the kernel: now, or as soon as there is one. */
export function withKernel(run: (kernel: Kernel) => void): void {
  const page = shared();
  if (page.kernel) run(page.kernel);
  else page.waiting.push(run);
}
