// The current value of a subject as a store that any framework can watch.
import { Value } from './store.js';
import { handle, type UseKernel } from './handle.js';
import type { DataOf, LiveOptions, LiveState, NotifierEvent, Store, StatusInfo, Subscription } from './types.js';

/** Runs before the page is painted next; where nothing is painted, as soon as the running task is done. */
function soon(run: () => void): void {
  if (typeof requestAnimationFrame === 'function' && globalThis.document?.visibilityState === 'visible') {
    requestAnimationFrame(run);
  } else {
    queueMicrotask(run);
  }
}

export interface MakeLive {
  /** A store of the newest value, or of what `reduce` makes of all events; subscribed while somebody watches it. */
  <S extends string, T = DataOf<S>, E = DataOf<S>>(subject: S, options?: LiveOptions<T, E>): Store<LiveState<T>>;
}

export const liveMaker = (use: UseKernel): MakeLive =>
  ((subject: string, options: LiveOptions<unknown, unknown> = {}) => {
    const { reduce = (_: unknown, event: NotifierEvent) => event.data, initial, onError, signal } = options;
    const store = new Value<LiveState<unknown>>({ value: initial, state: 'loading' });
    let subscription: Subscription | undefined;
    let unwatch: (() => void) | undefined;
    let next = store.getSnapshot();
    let scheduled = false;

    // What is shown changes once per frame, and only then: a framework that reads it twice reads the same.
    const change = (part: Partial<LiveState<unknown>>): void => {
      next = { ...next, ...part };
      if (scheduled) return;
      scheduled = true;
      soon(() => {
        scheduled = false;
        if (next !== store.getSnapshot()) store.set(next);
      });
    };

    const begin = (): void => {
      subscription = handle(
        use,
        subject,
        (event) => change({ value: reduce(next.value, event) }),
        {
          snapshot: true,
          ...options,
          onError(error) {
            if (!error.retryable) change({ state: 'error', error });
            onError?.(error);
          },
        },
        (isSnapshot) => change({ value: isSnapshot ? undefined : initial }),
      );
      const { ready } = subscription;
      let isReady = false;
      ready.then(
        () => {
          isReady = true;
          change({ state: 'live' });
        },
        () => {},
      );
      use((kernel) => {
        unwatch = kernel.status.subscribe(({ status }: StatusInfo) => {
          if (isReady) change({ state: status === 'online' ? 'live' : 'stale' });
        });
      });
    };
    const end = (): void => {
      subscription?.unsubscribe();
      unwatch?.();
      subscription = unwatch = undefined;
    };
    signal?.addEventListener('abort', end);

    return {
      getSnapshot: store.getSnapshot,
      subscribe(run) {
        const stop = store.subscribe(run);
        if (!subscription && !signal?.aborted) begin();
        return () => {
          stop();
          if (!store.watched) end();
        };
      },
    } satisfies Store<LiveState<unknown>>;
  }) as MakeLive;
