import type { DataOf, LiveOptions, LiveState, NotifierEvent, StatusInfo, SubscribeOptions } from './types.js';
/** The newest value of a subject and its state; subscribed while the component is mounted. */
export declare function useLive<S extends string, T = DataOf<S>, E = DataOf<S>>(subject: S, options?: LiveOptions<T, E>): LiveState<T>;
/** Calls the handler of the last rendering with each event while the component is mounted. */
export declare function useSubscribe<S extends string, T = DataOf<S>>(subject: S, handler: (event: NotifierEvent<T>) => unknown, options?: SubscribeOptions): void;
/** The status of the page's connection. */
export declare const useStatus: () => StatusInfo;
