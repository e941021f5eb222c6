import type { Position } from './types.js';
export declare class Cursor {
    #private;
    constructor(positions?: Iterable<Position>);
    /** Moves on to an event's sequence; false where that was passed before, which makes it a duplicate. */
    raise(stream: string, seq: number): boolean;
    /** Takes over where a subscription joins, and its epoch. */
    join({ stream, epoch, seq }: Position): void;
    /** Takes over a checkpoint, of streams that are reached. */
    checkpoint(position: Position): void;
    /** Forgets a stream that was created again; that it is reached is remembered, so that checkpoints count. */
    reset(stream: string, epoch?: string): void;
    /** Whether this has come further than `other` in any stream of the same epoch. */
    isAheadOf(other: Cursor): boolean;
    /** What a node can resume from. */
    positions(): Position[];
    toString(): string;
    /** Throws where the text is no cursor. */
    static parse(text: string): Cursor;
}
