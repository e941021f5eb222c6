// A value that others can watch: the contract of Svelte's stores and of `useSyncExternalStore`.
import { guarded } from './error.js';
import type { Store } from './types.js';

export class Value<T> implements Store<T> {
  readonly #watchers = new Set<{ run: (value: T) => void }>();
  #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** Bound, as frameworks take it from the object. */
  readonly getSnapshot = (): T => this.#value;

  readonly subscribe = (run: (value: T) => void): (() => void) => {
    const watcher = { run };
    this.#watchers.add(watcher);
    guarded(run, this.#value);
    return () => void this.#watchers.delete(watcher);
  };

  get watched(): boolean {
    return this.#watchers.size > 0;
  }

  /** Changes it. A watcher that changes it again ends this round, since the newer one has told everybody more. */
  set(value: T): void {
    this.#value = value;
    for (const watcher of [...this.#watchers]) {
      if (this.#value !== value) return;
      if (this.#watchers.has(watcher)) guarded(watcher.run, value);
    }
  }
}
