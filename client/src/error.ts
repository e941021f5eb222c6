// The one kind of error that callers see, and where errors go that nobody called for.
import type { WireError } from './frames.js';
import type { NotifierError } from './types.js';

/** An error of this library, known by its code. */
export const failure = (code: string, message: string, more?: Partial<NotifierError>): NotifierError =>
  Object.assign(new Error(message), { name: 'NotifierError', code, retryable: false }, more);

/** Something did not come within its time. It may the next time. */
export const late = (what: string, ms: number): NotifierError =>
  failure('timeout', `no ${what} within ${ms} ms`, { retryable: true });

/** A value of the application that no node can read. */
export const unreadable = (name: string, kind: string): NotifierError =>
  failure('bad_request', `\`${name}\` is no ${kind}`);

/** A node's refusal as an error. */
export const refusal = ({ message, ...fields }: WireError): NotifierError => failure(fields.code, message, fields);

/** Tells the page, or the console, of an error without a caller. */
export function report(error: unknown): void {
  if (typeof reportError === 'function') reportError(error);
  else console.error(error);
}

/** Runs an application's function: whatever it throws, or its promise rejects with, stays with it. */
export function guarded<A extends unknown[]>(run: ((...args: A) => unknown) | undefined, ...args: A): void {
  try {
    const result = run?.(...args);
    if (result instanceof Promise) result.catch(report);
  } catch (error) {
    report(error);
  }
}
