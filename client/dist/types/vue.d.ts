import { type MaybeRefOrGetter, type ShallowRef } from 'vue';
import type { DataOf, LiveOptions, LiveState, NotifierEvent, StatusInfo, SubscribeOptions } from './types.js';
/** The newest value of a subject and its state; subscribed while the component is mounted, or its scope lasts. */
export declare function useLive<S extends string, T = DataOf<S>, E = DataOf<S>>(subject: MaybeRefOrGetter<S>, options?: LiveOptions<T, E>): Readonly<ShallowRef<LiveState<T>>>;
/** Calls the handler with each event while the component is mounted, or its scope lasts. */
export declare function useSubscribe<S extends string, T = DataOf<S>>(subject: MaybeRefOrGetter<S>, handler: (event: NotifierEvent<T>) => unknown, options?: SubscribeOptions): void;
/** The status of the page's connection. */
export declare function useStatus(): Readonly<ShallowRef<StatusInfo>>;
