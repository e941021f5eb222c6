import { type UseKernel } from './handle.js';
import type { IterateOptions, NotifierEvent } from './types.js';
export declare function iterate(use: UseKernel, subject: string, options?: IterateOptions): AsyncIterableIterator<NotifierEvent>;
