import { type Kernel } from './kernel.js';
export interface Shared {
    readonly copies: {
        version: string;
        create: () => Kernel;
    }[];
    kernel?: Kernel;
    /** What copies asked for before there was a kernel, in order. */
    waiting: ((kernel: Kernel) => void)[];
    /** The address of the node, where a copy without a kernel was told it: it loads the library from there. */
    url?: string;
    /** The library of the node, once it was asked for. */
    library?: Promise<Library> | undefined;
}
export type Library = typeof import('./index.js');
/** The page's meeting place, which no import makes. */
export declare const meeting: () => Shared;
/** Whether version `a` is newer than `b`. */
export declare const isNewer: (a: string, b: string) => boolean;
/** Runs once all scripts of the page, each a task of its own, have said what they want. */
export declare function whenParsed(run: () => void): void;
/** The page's meeting place; this copy shows itself there when it is first used, so that an import has no effect. */
export declare function shared(): Shared;
/** Runs with the kernel: now, or as soon as there is one. */
export declare function withKernel(run: (kernel: Kernel) => void): void;
