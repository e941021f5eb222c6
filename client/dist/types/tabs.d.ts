import type { Dial } from './transport.js';
/** Dials through the worker; `alone`, where there is none, or it does not answer. */
export declare const sharedTabs: (alone: Dial, script?: string) => Dial;
