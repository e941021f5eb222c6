import type { Store } from './types.js';
export declare class Value<T> implements Store<T> {
    #private;
    constructor(value: T);
    /** Bound, as frameworks take it from the object. */
    readonly getSnapshot: () => T;
    readonly subscribe: (run: (value: T) => void) => (() => void);
    get watched(): boolean;
    /** Changes it. A watcher that changes it again ends this round, since the newer one has told everybody more. */
    set(value: T): void;
}
