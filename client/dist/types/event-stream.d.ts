import { Cursor } from './cursor.js';
import type { ServerFrame } from './frames.js';
import { type Http } from './http.js';
import type { Position } from './types.js';
/** A subscription of the page: the number of its request, and where it began. */
export interface Pattern {
    readonly id: number | undefined;
    readonly after: Position[] | undefined;
}
export interface StreamOwner {
    frame(stream: EventStream, frame: ServerFrame): void;
    /** It has ended; `error` is the node's refusal where that is one. */
    ended(stream: EventStream, code: number, reason: string, error?: ServerFrame['error']): void;
}
export declare class EventStream {
    #private;
    readonly patterns: ReadonlyMap<string, Pattern>;
    /** Whether its patterns bring events: they all begin together. */
    isLive: boolean;
    /** How far it has come: one position for each stream that its patterns reach. */
    readonly cursor: Cursor;
    constructor(http: Http, patterns: ReadonlyMap<string, Pattern>, owner: StreamOwner);
    close(): void;
}
