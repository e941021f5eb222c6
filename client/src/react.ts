// Hooks for React 18 and later: values of subjects, events and the status of the connection.
import { useEffect, useInsertionEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { live, status, subscribe } from './index.js';
import type { DataOf, LiveOptions, LiveState, NotifierEvent, StatusInfo, SubscribeOptions } from './types.js';

/** What a page is rendered with on a server, and in the first pass of hydration. */
const IDLE: StatusInfo = { status: 'idle', attempt: 0 };

/** The last value that was rendered, for functions that run between two renderings. */
function useLatest<T>(value: T): { readonly current: T } {
  const latest = useRef(value);
  useInsertionEffect(() => {
    latest.current = value;
  });
  return latest;
}

/** Functions of the last rendering, behind an object that changes only with what a subscription begins with. */
function useOptions<O extends SubscribeOptions>(options: O): O {
  const { snapshot, after, label, signal } = options;
  const latest = useLatest<SubscribeOptions>(options);
  return useMemo(
    () =>
      ({
        ...(snapshot !== undefined && { snapshot }),
        ...(after !== undefined && { after }),
        ...(label !== undefined && { label }),
        ...(signal && { signal }),
        onGap: (gap) => latest.current.onGap?.(gap),
        ...(options.onError && { onError: (error) => latest.current.onError?.(error) }),
      }) as O,
    [snapshot, after, label, signal, !options.onError, latest],
  );
}

/** The newest value of a subject and its state; subscribed while the component is mounted. */
export function useLive<S extends string, T = DataOf<S>, E = DataOf<S>>(
  subject: S,
  options: LiveOptions<T, E> = {},
): LiveState<T> {
  const settled = useOptions(options);
  const { reduce } = options;
  const latest = useLatest(reduce);
  const reduces = !!reduce;
  // What a page is rendered with on a server, and in the first pass of hydration.
  const first = useRef<LiveState<T>>({ value: options.initial, state: 'loading' }).current;
  const store = useMemo(() => {
    const fold = (value: T | undefined, event: NotifierEvent<E>): T => latest.current?.(value, event) as T;
    return live<S, T, E>(subject, { ...settled, initial: first.value as T, ...(reduces && { reduce: fold }) });
  }, [subject, settled, reduces, latest, first]);
  return useSyncExternalStore(store.subscribe, store.getSnapshot, () => first);
}

/** Calls the handler of the last rendering with each event while the component is mounted. */
export function useSubscribe<S extends string, T = DataOf<S>>(
  subject: S,
  handler: (event: NotifierEvent<T>) => unknown,
  options: SubscribeOptions = {},
): void {
  const settled = useOptions(options);
  const latest = useLatest(handler);
  useEffect(() => subscribe<S, T>(subject, (event) => latest.current(event), settled).unsubscribe, [subject, settled, latest]);
}

/** The status of the page's connection. */
export const useStatus = (): StatusInfo => useSyncExternalStore(status.subscribe, status.getSnapshot, () => IDLE);
