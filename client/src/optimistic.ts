// A value that shows what the user has done before the service has said so, and takes it back where it says no.
import type { Client } from './client.js';
import { failure } from './error.js';
import { freshId } from './event.js';
import * as page from './index.js';
import { Value } from './store.js';
import type { DataOf, LiveOptions, LiveState, NotifierEvent, Store } from './types.js';

/** Milliseconds until a command that nothing confirms is taken back; as long as `publish` tries. */
const TIMEOUT_MS = 10_000;

export interface OptimisticOptions<T, C, E = unknown> extends LiveOptions<T, E> {
  /** What a command makes of the value. Pure: it runs again whenever the value below changes. */
  apply: (value: T | undefined, command: C) => T;
  /** Sends the command. The event that follows from it has to carry the `id`, as one that is published under it does. */
  send: (command: C, context: { id: string; signal: AbortSignal }) => unknown;
  /**
   * What confirms a command. `event`: an event of the subject with the command's id. `answer`: that `send` resolves,
   * and what it gives, if anything, is the new value. `event` where absent.
   */
  settle?: 'event' | 'answer';
  /** Milliseconds until a command is taken back, 10,000 where absent. */
  timeout?: number;
  /** A client of its own instead of the page's. */
  client?: Pick<Client, 'live'>;
}

/** As of `live()`, with the commands that nothing has confirmed yet. */
export interface OptimisticState<T> extends LiveState<T> {
  readonly pending: number;
}

export interface Optimistic<T, C> extends Store<OptimisticState<T>> {
  /** Shows the command at once; resolves when it is confirmed, and rejects once it is taken back. */
  run(command: C): Promise<void>;
}

interface Pending<C> {
  readonly id: string;
  readonly command: C;
  /** The value below has it when it changes next. */
  confirmed: boolean;
  /** Tells the caller, the first time. */
  settle(error?: unknown): void;
  /** Nothing is listened to for it any more. */
  release(): void;
}

export function optimistic<T = unknown, C = unknown, S extends string = string, E = DataOf<S>>(
  subject: S,
  options: OptimisticOptions<T, C, E>,
): Optimistic<T, C> {
  const { apply, send, settle: by = 'event', timeout = TIMEOUT_MS, client = page, reduce, ...liveOptions } = options;
  const pending = new Set<Pending<C>>();
  const find = (id: string | undefined): Pending<C> | undefined => [...pending].find((one) => one.id === id);

  const below: Store<LiveState<T>> = client.live<S, T, E>(subject, {
    ...liveOptions,
    reduce(value: T | undefined, event: NotifierEvent<E>) {
      // The command goes when the value below, which has it now, is shown: the user sees neither both nor none.
      const own = find(event.id);
      if (own) {
        own.confirmed = true;
        own.settle();
      }
      isFresh = true;
      return reduce ? reduce(value, event) : (event.data as unknown as T);
    },
  });
  let isFresh = false;
  let told = below.getSnapshot();
  let base = told.value;
  const shown = new Value<OptimisticState<T>>({ ...told, pending: 0 });
  const show = (): void => {
    let value = base;
    for (const { command } of pending) value = apply(value, command);
    shown.set({ ...told, value, pending: pending.size });
  };
  const remove = (one: Pending<C>): boolean => {
    const wasThere = pending.delete(one);
    if (wasThere) one.release();
    return wasThere;
  };

  let watching = 0;
  let stop: (() => void) | undefined;
  /** Listens below while somebody watches, or a command waits. */
  const watch = (): (() => void) => {
    let isOver = false;
    if (!watching++) {
      stop = below.subscribe((now) => {
        if (now === told) return;
        // A change of the state alone says nothing about a value that an answer has brought.
        if (isFresh || now.value !== told.value) base = now.value;
        isFresh = false;
        told = now;
        for (const one of [...pending]) if (one.confirmed) remove(one);
        show();
      });
    }
    return () => {
      if (isOver) return;
      isOver = true;
      if (!--watching) stop?.();
    };
  };

  return {
    getSnapshot: shown.getSnapshot,
    subscribe(run) {
      const unwatch = watch();
      const end = shown.subscribe(run);
      return () => {
        end();
        unwatch();
      };
    },
    run(command) {
      const unwatch = watch();
      const abort = new AbortController();
      return new Promise<void>((resolve, reject) => {
        const late = (): void => one.settle(failure('timeout', `nothing has confirmed the command within ${timeout} ms`, { retryable: true }));
        const timer = setTimeout(late, timeout);
        const one: Pending<C> = {
          id: freshId(),
          command,
          confirmed: false,
          settle(error) {
            clearTimeout(timer);
            one.settle = () => {};
            if (!error) return resolve();
            if (remove(one)) show();
            abort.abort(error);
            reject(error as Error);
          },
          release: unwatch,
        };
        pending.add(one);
        show();
        const answered = (answer: unknown): void => {
          if (by === 'event' || !remove(one)) return;
          if (answer !== undefined) base = answer as T;
          show();
          one.settle();
        };
        // In a promise, so that what `send` throws at once is a refusal too.
        Promise.resolve({ id: one.id, signal: abort.signal })
          .then((context) => send(command, context))
          .then(answered, (error: unknown) => one.settle(error ?? failure('closed', 'the command was refused')));
      });
    },
  };
}
