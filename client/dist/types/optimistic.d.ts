import type { Client } from './client.js';
import type { DataOf, LiveOptions, LiveState, Store } from './types.js';
export interface OptimisticOptions<T, C, E = unknown> extends LiveOptions<T, E> {
    /** What a command makes of the value. Pure: it runs again whenever the value below changes. */
    apply: (value: T | undefined, command: C) => T;
    /** Sends the command. The event that follows from it has to carry the `id`, as one that is published under it does. */
    send: (command: C, context: {
        id: string;
        signal: AbortSignal;
    }) => unknown;
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
export declare function optimistic<T = unknown, C = unknown, S extends string = string, E = DataOf<S>>(subject: S, options: OptimisticOptions<T, C, E>): Optimistic<T, C>;
