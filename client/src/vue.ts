// Composables for Vue 3.3 and later: values of subjects, events and the status of the connection.
import { getCurrentInstance, type MaybeRefOrGetter, onMounted, onScopeDispose, type ShallowRef, shallowRef, toValue, watch } from 'vue';
import { live, status, subscribe } from './index.js';
import type { DataOf, LiveOptions, LiveState, NotifierEvent, StatusInfo, SubscribeOptions } from './types.js';

/** Runs in the browser alone: on a server no component is mounted, and nobody would end what it began. */
function inBrowser(begin: () => void): void {
  if (getCurrentInstance()) onMounted(begin);
  else begin();
}

/** Begins anew with each subject, and ends with the component or scope. */
function follow<S>(subject: MaybeRefOrGetter<S>, begin: (subject: S) => () => void): void {
  inBrowser(() => {
    watch(() => toValue(subject), (now, _, onCleanup) => onCleanup(begin(now)), { immediate: true, flush: 'sync' });
  });
}

/** The newest value of a subject and its state; subscribed while the component is mounted, or its scope lasts. */
export function useLive<S extends string, T = DataOf<S>, E = DataOf<S>>(
  subject: MaybeRefOrGetter<S>,
  options: LiveOptions<T, E> = {},
): Readonly<ShallowRef<LiveState<T>>> {
  const state = shallowRef<LiveState<T>>({ value: options.initial, state: 'loading' });
  follow(subject, (now) => live<S, T, E>(now, options).subscribe((value) => void (state.value = value)));
  return state;
}

/** Calls the handler with each event while the component is mounted, or its scope lasts. */
export function useSubscribe<S extends string, T = DataOf<S>>(
  subject: MaybeRefOrGetter<S>,
  handler: (event: NotifierEvent<T>) => unknown,
  options: SubscribeOptions = {},
): void {
  follow(subject, (now) => subscribe<S, T>(now, handler, options).unsubscribe);
}

/** The status of the page's connection. */
export function useStatus(): Readonly<ShallowRef<StatusInfo>> {
  const state = shallowRef<StatusInfo>({ status: 'idle', attempt: 0 });
  let stop: (() => void) | undefined;
  inBrowser(() => (stop = status.subscribe((now) => void (state.value = now))));
  onScopeDispose(() => stop?.());
  return state;
}
