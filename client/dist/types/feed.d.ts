import { Cursor } from './cursor.js';
import type { ServerFrame, WireError } from './frames.js';
import type { Http } from './http.js';
import type { Position } from './types.js';
/** A subscription of the page: the number of its request, and where it began. */
export interface Pattern {
    readonly id: number | undefined;
    readonly after: Position[] | undefined;
}
export interface FeedOwner {
    frame(feed: Feed, frame: ServerFrame): void;
    /** It has ended; `error` is the node's refusal where that is one. */
    ended(feed: Feed, code: number, reason: string, error?: WireError): void;
}
/** Brings frames to a feed until its signal ends; rejects where the connection is lost, and says why. */
export type Way = (feed: Feed, http: Http) => Promise<void>;
export declare class Feed {
    #private;
    readonly patterns: ReadonlyMap<string, Pattern>;
    /** Whether its patterns bring events: they all begin together. */
    isLive: boolean;
    /** How far it has come: one position for each stream that its patterns reach. */
    readonly cursor: Cursor;
    constructor(way: Way, http: Http, patterns: ReadonlyMap<string, Pattern>, owner: FeedOwner);
    /** Ends with it. */
    get signal(): AbortSignal;
    close(): void;
    /** The request for what has not come yet. */
    request(): RequestInit & {
        headers: Record<string, string>;
    };
    /** The node refuses all of it. */
    refuse(error: WireError | undefined): void;
    /** Follows how far it has come, and tells a frame once for each pattern that it is for. */
    take(frame: ServerFrame): void;
}
