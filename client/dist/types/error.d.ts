import type { WireError } from './frames.js';
import type { NotifierError } from './types.js';
/** An error of this library, known by its code. */
export declare const failure: (code: string, message: string, more?: Partial<NotifierError>) => NotifierError;
/** Something did not come within its time. It may the next time. */
export declare const late: (what: string, ms: number) => NotifierError;
/** A value of the application that no node can read. */
export declare const unreadable: (name: string, kind: string) => NotifierError;
/** A node's refusal as an error. */
export declare const refusal: ({ message, ...fields }: WireError) => NotifierError;
/** Tells the page, or the console, of an error without a caller. */
export declare function report(error: unknown): void;
/** Runs an application's function: whatever it throws, or its promise rejects with, stays with it. */
export declare function guarded<A extends unknown[]>(run: ((...args: A) => unknown) | undefined, ...args: A): void;
