import type { WireEvent, WireFetched, WireGap } from '../frames.js';
import type { Position } from '../types.js';
export interface FakeStream {
    /** Subjects and patterns that it stores. */
    subjects: readonly string[];
    /** `durable` tells every event, `latest` the newest of each subject. `durable` where absent. */
    delivery?: 'durable' | 'latest';
}
export type Stored = WireEvent & {
    stream: string;
    seq: number;
};
/** Whether a subject exists that both patterns match. */
export declare function meet(a: string, b: string): boolean;
export declare class Stream {
    #private;
    readonly name: string;
    readonly options: FakeStream;
    readonly delivery: 'durable' | 'latest';
    constructor(name: string, options: FakeStream);
    /** Whether it stores a subject that the pattern matches. */
    reaches(pattern: string): boolean;
    /** Where its end is. */
    get position(): Position;
    /** Stores an event; a repeat under one id is stored once, and gives the sequence of the first. */
    store(event: WireEvent): {
        stored?: Stored;
        seq: number;
    };
    /** Events of a pattern behind a position, or from the first; and what is missing. */
    read(pattern: string, after: Position | undefined, last: boolean): {
        events: Stored[];
        gap?: WireGap;
    };
    /** Drops all that it has stored, as its retention does in time. */
    expire(): void;
    /** Makes it anew: empty, from sequence 1, under another epoch. */
    recreate(): void;
}
/** The answer to `fetch`; nothing where no stream stores what the pattern matches. */
export declare function fetched(streams: readonly Stream[], { subject, after, last, limit }: {
    subject: string;
    after?: Position[] | undefined;
    last?: boolean;
    limit?: number | undefined;
}): WireFetched | undefined;
