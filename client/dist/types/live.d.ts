import { type UseKernel } from './handle.js';
import type { DataOf, LiveOptions, LiveState, Store } from './types.js';
export interface MakeLive {
    /** A store of the newest value, or of what `reduce` makes of all events; subscribed while somebody watches it. */
    <S extends string, T = DataOf<S>, E = DataOf<S>>(subject: S, options?: LiveOptions<T, E>): Store<LiveState<T>>;
}
export declare const liveMaker: (use: UseKernel) => MakeLive;
