import { type UseKernel } from './handle.js';
import type { DataOf, IterateOptions, NotifierEvent, SubscribeOptions, Subscription } from './types.js';
export interface Subscribe {
    /** Calls the handler with each event, until it is ended. */
    <S extends string, T = DataOf<S>>(subject: S, handler: (event: NotifierEvent<T>) => unknown, options?: SubscribeOptions): Subscription;
    /** Gives the events as an async iterator, which ends the subscription when the loop is left. */
    <S extends string, T = DataOf<S>>(subject: S, options?: IterateOptions): AsyncIterableIterator<NotifierEvent<T>>;
}
export declare const subscriber: (use: UseKernel) => Subscribe;
