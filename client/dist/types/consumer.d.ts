import { Cursor } from './cursor.js';
import type { WireFetched } from './frames.js';
import type { Gap, NotifierError, NotifierEvent, Position } from './types.js';
/** What an application hears. Plain functions, so that copies of other versions can hand them over. */
export interface Sink {
    event(event: NotifierEvent): unknown;
    gap?: ((gap: Gap) => unknown) | undefined;
    error?: ((error: NotifierError) => unknown) | undefined;
    state?: ((state: 'live' | 'stale') => unknown) | undefined;
    /** What follows is all that there is: a snapshot, or else the history behind the cursor of the subscriber. */
    restart?: ((isSnapshot: boolean) => unknown) | undefined;
}
export interface Joining {
    readonly pattern: string;
    readonly cursor: Cursor;
    readonly delivery: string | undefined;
}
export type Read = (subject: string, last: boolean, after: Position[], signal: AbortSignal) => Promise<WireFetched>;
export interface Wish {
    snapshot?: boolean | undefined;
    after?: Cursor | undefined;
    label?: string | undefined;
}
export declare class Consumer {
    #private;
    readonly sink: Sink;
    readonly wish: Wish;
    readonly early: boolean;
    readonly read: Read;
    open: boolean;
    /** `early`: there before the subscription was sent, so that it hears all that the node sends of itself. */
    constructor(sink: Sink, wish: Wish, early: boolean, read: Read);
    close(): void;
    take(event: NotifierEvent): void;
    /** The subscription is live. */
    live(on: Joining): void;
    stale(): void;
    gap(gap: Gap, on: Joining): void;
    error(error: NotifierError): void;
}
