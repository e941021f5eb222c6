// One handler of an application, from the moment it asks until it ends by a call, a signal or `using`.
import { failure, report } from './error.js';
import type { Kernel } from './kernel.js';
import type { NotifierEvent, SubscribeOptions, Subscription } from './types.js';

/** Runs with the kernel, now or as soon as there is one. */
export type UseKernel = (run: (kernel: Kernel) => void) => void;

/** Not every browser knows it; where it is missing, `using` is transpiled and asks for this one. */
export const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for('Symbol.dispose');

/** Subscribes one handler. */
export function handle(
  use: UseKernel,
  subject: string,
  handler: (event: NotifierEvent) => unknown,
  options: SubscribeOptions = {},
  restart?: (isSnapshot: boolean) => void,
): Subscription {
  const { signal, onGap, onError } = options;
  let remove: (() => void) | undefined;
  let ended = !!signal?.aborted;
  let settle: { live: () => void; refused: (error: unknown) => void } | undefined;
  const ready = new Promise<void>((live, refused) => (settle = { live, refused }));
  // Nobody has to look at it.
  ready.catch(() => {});
  const unsubscribe = (): void => {
    ended = true;
    remove?.();
    remove = undefined;
    signal?.removeEventListener('abort', unsubscribe);
    settle?.refused(signal?.aborted ? signal.reason : failure('closed', 'unsubscribed'));
  };
  if (ended) unsubscribe();
  signal?.addEventListener('abort', unsubscribe);
  use((kernel) => {
    if (ended) return;
    const undo = kernel.subscribe(
      subject,
      {
        event: handler,
        gap: onGap,
        restart,
        state: (state) => state === 'live' && settle?.live(),
        error(error) {
          if (!error.retryable) settle?.refused(error);
          if (onError) onError(error);
          // Nobody would find out otherwise: most often a subject is misspelled, or not granted.
          else if (!error.retryable) report(error);
        },
      },
      options,
    );
    // A handler may have ended it already.
    if (ended) undo();
    else remove = undo;
  });
  return { subject, ready, unsubscribe, [DISPOSE]: unsubscribe } as Subscription;
}
