export declare class Backoff {
    #private;
    /** Attempts since the last connection that worked. */
    attempt: number;
    dialled(): void;
    welcomed(): void;
    /** The connection that was welcomed has ended. */
    lost(): void;
    /** Milliseconds until the next attempt, drawn anew; never less than the node's `hint`. */
    next(hint?: number): number;
}
