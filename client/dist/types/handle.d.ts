import type { Kernel } from './kernel.js';
import type { NotifierEvent, SubscribeOptions, Subscription } from './types.js';
/** Runs with the kernel, now or as soon as there is one. */
export type UseKernel = (run: (kernel: Kernel) => void) => void;
/** Not every browser knows it; where it is missing, `using` is transpiled and asks for this one. */
export declare const DISPOSE: typeof Symbol.dispose;
/** Subscribes one handler. */
export declare function handle(use: UseKernel, subject: string, handler: (event: NotifierEvent) => unknown, options?: SubscribeOptions, restart?: (isSnapshot: boolean) => void): Subscription;
