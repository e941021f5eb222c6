import { type Library } from './shared.js';
import type { Config, DataOf, NotifierEvent, SubscribeOptions, Subscription } from './types.js';
/** All verbs, of the library that the node serves. */
export declare function library(): Promise<Library>;
/** Says where and as whom to connect, as in the library. */
export declare function configure(config: Config): void;
/** Calls the handler with each event, as in the library. */
export declare const subscribe: <S extends string, T = DataOf<S>>(subject: S, handler: (event: NotifierEvent<T>) => unknown, options?: SubscribeOptions) => Subscription;
