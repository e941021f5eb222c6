import type { Limits } from './frames.js';
export declare class Outbox {
    #private;
    constructor(send: (message: string) => void);
    limit(limits: Limits): void;
    /** False where the frame is larger than any message may be. */
    push(text: string): boolean;
    clear(): void;
}
