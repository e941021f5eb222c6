import type { DataOf, LiveOptions, LiveState, StatusInfo } from './types.js';
/** A value that effects and templates follow where they read it. */
export interface Current<T> {
    readonly current: T;
}
/** The newest value of a subject and its state; subscribed while an effect or a template reads it. */
export declare const useLive: <S extends string, T = DataOf<S>, E = DataOf<S>>(subject: S, options?: LiveOptions<T, E>) => Current<LiveState<T>>;
/** The status of the page's connection. */
export declare const useStatus: () => Current<StatusInfo>;
