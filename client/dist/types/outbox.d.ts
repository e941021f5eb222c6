import type { Limits } from './frames.js';
export declare class Outbox {
    #private;
    constructor(send: (message: string) => void);
    limit(limits: Limits): void;
    /** False where the frame is larger than any message may be. One that waits and is `wanted` no more is not sent. */
    push(text: string, wanted: () => boolean): boolean;
    clear(): void;
}
