// One kernel per page, however many bundles bring a copy of this library, in however many versions. All meet at one symbol;
// the newest copy that has been asked for something by the time the page is parsed runs for all.
import { createKernel, type Kernel } from './kernel.js';
import { VERSION } from './version.js';

/** The major version of the contract between copies stands in the name: another major has a page of its own. */
const KEY = /* @__PURE__ */ Symbol.for('notifier.client.v1');

export interface Shared {
  readonly copies: { version: string; create: () => Kernel }[];
  kernel?: Kernel;
  /** What copies asked for before there was a kernel, in order. */
  waiting: ((kernel: Kernel) => void)[];
  /** The address of the node, where a copy without a kernel was told it: it loads the library from there. */
  url?: string;
  /** The library of the node, once it was asked for. */
  library?: Promise<Library> | undefined;
}

export type Library = typeof import('./index.js');

/** The page's meeting place, which no import makes. */
export const meeting = (): Shared => ((globalThis as { [KEY]?: Shared })[KEY] ??= { copies: [], waiting: [] });

/** A version without what comes behind its three numbers. */
const numbers = (version: string): string => version.replace(/-.*/, '');

/** Whether version `a` is newer than `b`. */
export const isNewer = (a: string, b: string): boolean =>
  numbers(a).localeCompare(numbers(b), 'en', { numeric: true }) > 0;

function elect(shared: Shared): void {
  if (shared.kernel) return;
  const newest = shared.copies.reduce((a, b) => (isNewer(b.version, a.version) ? b : a));
  const kernel = (shared.kernel = newest.create());
  const waiting = shared.waiting;
  shared.waiting = [];
  for (const run of waiting) run(kernel);
}

/** Runs once all scripts of the page, each a task of its own, have said what they want. */
export function whenParsed(run: () => void): void {
  if (isParsing()) globalThis.addEventListener('DOMContentLoaded', run, { once: true });
  else run();
}

/** Whether scripts may still be on their way. */
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
  const page = (joined = meeting());
  page.copies.push({ version: VERSION, create: createKernel });
  if (!page.kernel && page.copies.length === 1) whenParsed(() => elect(page));
  return page;
}

/** Runs with the kernel: now, or as soon as there is one. */
export function withKernel(run: (kernel: Kernel) => void): void {
  const page = shared();
  if (page.kernel) run(page.kernel);
  else page.waiting.push(run);
}
