// For Svelte 5: values of subjects and the status as runes see them. Without it, `live()` and `status` are stores as they
// stand: `$cart` works with them.
import { createSubscriber } from 'svelte/reactivity';
import { live, status } from './index.js';
import type { DataOf, LiveOptions, LiveState, StatusInfo, Store } from './types.js';

/** A value that effects and templates follow where they read it. */
export interface Current<T> {
  readonly current: T;
}

function current<T>({ subscribe, getSnapshot }: Store<T>): Current<T> {
  // Followed from the first effect that reads it to the end of the last one.
  const track = createSubscriber((update) => {
    let isFirst = true;
    const stop = subscribe(() => {
      // The value of this moment has just been read.
      if (!isFirst) update();
    });
    isFirst = false;
    return stop;
  });
  return {
    get current() {
      track();
      return getSnapshot();
    },
  };
}

/** The newest value of a subject and its state; subscribed while an effect or a template reads it. */
export const useLive = <S extends string, T = DataOf<S>, E = DataOf<S>>(
  subject: S,
  options: LiveOptions<T, E> = {},
): Current<LiveState<T>> => current(live<S, T, E>(subject, options));

/** The status of the page's connection. */
export const useStatus = (): Current<StatusInfo> => current(status);
