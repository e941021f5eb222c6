// `@notifier/client/remember`: values of the last visit, for a page that is to show something before it is connected. Each
// value is kept with its cursor, so what came since is read, and nothing else. Nothing is kept unless it is asked for.
import type { Client } from './client.js';
import * as page from './index.js';
import type { DataOf, Gap, LiveOptions, LiveState, NotifierEvent, StatusInfo, Store } from './types.js';

const KEY = 'notifier.values';
/** Characters of all that is kept, two bytes each: 256 KiB, a small part of what an origin may store. */
const MOST_CHARACTERS = 131_072;

export interface RememberOptions {
  /** The user, as the node names it. What is kept for another one is deleted. */
  user: string;
  /** `sessionStorage` keeps it for the tab. `localStorage` where absent. */
  storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
  /** A client of its own instead of the page's. */
  client?: Pick<Client, 'live' | 'cursor' | 'status'>;
}

export interface Memory {
  /** As `live()`, beginning with the value of the last visit. */
  live<S extends string, T = DataOf<S>, E = DataOf<S>>(subject: S, options?: LiveOptions<T, E>): Store<LiveState<T>>;
  /** Keeps what is known now; happens by itself when the page is hidden or left. */
  save(): void;
  /** Deletes all that is kept, and keeps nothing more. */
  clear(): void;
}

interface Kept {
  readonly value: unknown;
  readonly after: string;
}

/** Keeps values of one user. Storage that is full, forbidden or absent, as on a server, keeps nothing. */
export function remember({ user, storage, client = page }: RememberOptions): Memory {
  let place: RememberOptions['storage'];
  let isOver = true;
  /** In the order in which they were kept: the oldest go first. */
  let kept: Record<string, Kept> = {};
  /** What notes the value of each store that is watched. */
  const watched = new Set<() => void>();
  /** The page works without what may fail here. */
  const attempt = (run: (into: NonNullable<typeof place>) => void): void => {
    try {
      if (place) run(place);
    } catch {
      isOver = true;
    }
  };
  try {
    place = storage ?? globalThis.localStorage;
    isOver = !place;
  } catch {
    // A page that may not store anything is told so by an exception.
  }
  attempt((place) => {
    const found = JSON.parse(place.getItem(KEY) ?? '{}') as { user?: unknown; kept?: Record<string, Kept> };
    if (found.user === user && found.kept) kept = found.kept;
    else place.removeItem(KEY);
  });

  const clear = (): void => {
    isOver = true;
    kept = {};
    attempt((place) => place.removeItem(KEY));
  };
  const save = (): void => {
    if (isOver) return;
    for (const note of watched) note();
    let text = '';
    for (;;) {
      text = JSON.stringify({ user, kept });
      const [oldest] = Object.keys(kept);
      if (text.length <= MOST_CHARACTERS || oldest === undefined) break;
      delete kept[oldest];
    }
    attempt((place) => place.setItem(KEY, text));
  };
  if (place) {
    globalThis.addEventListener?.('pagehide', save);
    // A phone ends pages that are hidden without another word.
    globalThis.document?.addEventListener('visibilitychange', () => document.visibilityState === 'hidden' && save());
    client.status.subscribe(({ status, user: known }: StatusInfo) => {
      if (status === 'unauthorized' || (known !== undefined && known !== user)) clear();
    });
  }

  return {
    save,
    clear,
    live<S extends string, T = DataOf<S>, E = DataOf<S>>(subject: S, options: LiveOptions<T, E> = {}): Store<LiveState<T>> {
      const { reduce, onGap } = options;
      const first = kept[subject];
      /** The value that belongs to the cursor of this moment. */
      let newest: { value: T } | undefined;
      let hasGap = false;
      const below = client.live<S, T, E>(subject, {
        ...options,
        ...(first && { initial: first.value as T, after: first.after }),
        reduce(value: T | undefined, event: NotifierEvent<E>) {
          newest = { value: reduce ? reduce(value, event) : (event.data as unknown as T) };
          return newest.value;
        },
        onGap(gap: Gap) {
          // The values that follow a gap are read anew, and for a moment the cursor is ahead of them.
          hasGap = true;
          delete kept[subject];
          onGap?.(gap);
        },
      });
      const note = (): void => {
        const after = client.cursor(subject);
        const isWhole = ['live', 'stale'].includes(below.getSnapshot().state) && !hasGap;
        // Without a position in a stream nobody could say what came since.
        if (!isWhole || !newest || !after?.includes('~')) return;
        delete kept[subject];
        kept[subject] = { value: newest.value, after };
      };
      let watchers = 0;
      return {
        getSnapshot: below.getSnapshot,
        subscribe(run) {
          const stop = below.subscribe(run);
          if (!watchers++) {
            hasGap = false;
            watched.add(note);
          }
          let isWatching = true;
          return () => {
            if (!isWatching) return;
            isWatching = false;
            if (!--watchers) {
              note();
              watched.delete(note);
            }
            stop();
          };
        },
      };
    },
  };
}
