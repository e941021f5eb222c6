/** Calls `expired` after `ms` in which the page ran; returns what cancels it. */
export declare function deadline(ms: number, expired: () => void): () => void;
export declare class Watchdog {
    #private;
    constructor(ask: () => void, dead: () => void);
    /** From now on `silence` milliseconds without a sound are a reason to ask. */
    watch(silence: number): void;
    /** Something was received: proof enough, whatever it was. */
    heard(): void;
    /** Asks now; without a sound in time the other side is dead. */
    probe(): void;
    stop(): void;
}
