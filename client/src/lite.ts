// `@notifier/client/lite`: events for components whose bundle has no room for the library. The node serves the library;
// whichever copy the page has already is used instead.
import { report } from './error.js';
import { handle } from './handle.js';
import type { Kernel } from './kernel.js';
import { type Library, meeting, whenParsed } from './shared.js';
import type { Config, DataOf, NotifierEvent, SubscribeOptions, Subscription } from './types.js';
import { urlOf } from './url.js';

/** Milliseconds until the library is asked for again where the node did not give it; spread, as all its pages ask. */
const AGAIN_MS = 1_000;

/** Browsers may remember that an address failed: each attempt after that has one of its own. */
let query = '';

/** All verbs, of the library that the node serves. */
export function library(): Promise<Library> {
  const page = meeting();
  const address = String(urlOf(page)).replace(/^ws/, 'http').replace(/v1.ws$/, 'client/v1/notifier.js') + query;
  return (page.library ??= import(/* @vite-ignore */ /* webpackIgnore: true */ address).catch((error) => {
    page.library = undefined;
    query = `?${Date.now()}`;
    throw error;
  }) as Promise<Library>);
}

function join(): void {
  // A copy that came with another bundle has a kernel, or is about to.
  if (meeting().copies.length) return;
  library().then(
    // The first verb of a copy makes it join the page.
    ({ inspect }) => inspect(),
    (error) => {
      report(error);
      setTimeout(join, AGAIN_MS * (1 + Math.random()));
    },
  );
}

/** Runs with the page's kernel; where nothing is displayed, as on a server, never. */
function use(run: (kernel: Kernel) => void): void {
  const page = meeting();
  if (page.kernel) run(page.kernel);
  // Whoever waits first loads for all, whatever bundle they are of.
  else if (globalThis.document && page.waiting.push(run) === 1) whenParsed(join);
}

/** Says where and as whom to connect, as in the library. */
export function configure(config: Config): void {
  if (config.url) meeting().url ??= config.url;
  use((kernel) => kernel.configure(config));
}

/** Calls the handler with each event, as in the library. */
export const subscribe = <S extends string, T = DataOf<S>>(
  subject: S,
  handler: (event: NotifierEvent<T>) => unknown,
  options?: SubscribeOptions,
): Subscription => handle(use, subject, handler as (event: NotifierEvent) => unknown, options);
