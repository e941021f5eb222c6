import { type Kernel } from './kernel.js';
export interface Shared {
    readonly copies: {
        version: string;
        create: () => Kernel;
    }[];
    kernel?: Kernel;
    /** What copies asked for before there was a kernel, in order. */
    waiting: ((kernel: Kernel) => void)[];
}
/** Whether version `a` is newer than `b`. */
export declare function isNewer(a: string, b: string): boolean;
/** The page's meeting place; this copy shows itself there when it is first used, so that an import has no effect. */
export declare function shared(): Shared;
/** Runs with the kernel: now, or as soon as there is one. */
export declare function withKernel(run: (kernel: Kernel) => void): void;
