// Subjects and patterns, free of everything else. The node judges the grammar; here stands what must not reach it, because
// it would end the connection of all, and how patterns relate.
import { failure } from './error.js';

/** Bytes of UTF-8 of the longest subject; refusals of longer ones would name only a part of it. */
const SUBJECT_BYTES = 256;

/** A text that JSON carries: half a surrogate pair would make the frame unreadable to the node. */
export const isText = (value: unknown): value is string => typeof value === 'string' && !/\p{Surrogate}/u.test(value);

/** Throws where it could never be a subject or pattern. */
export function checkSubject(subject: unknown): asserts subject is string {
  if (!isText(subject) || !subject || new TextEncoder().encode(subject).length > SUBJECT_BYTES) {
    throw failure('bad_subject', `a subject has 1 to ${SUBJECT_BYTES} bytes`);
  }
}

/** Whether every subject that `narrow` matches is one that `wide` matches. */
export function covers(wide: string, narrow: string): boolean {
  const w = wide.split('.');
  const n = narrow.split('.');
  for (let i = 0; i < w.length; i++) {
    if (w[i] === '>') return n.length > i;
    if (i >= n.length || n[i] === '>' || (w[i] !== '*' && w[i] !== n[i])) return false;
  }
  return w.length === n.length;
}
