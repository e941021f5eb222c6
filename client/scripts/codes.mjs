// Writes src/codes.ts out of the node's own tables, src/error.rs and src/close.rs: `node scripts/codes.mjs`. With `--check`
// it fails where the file is not what the tables say.
import { readFileSync, writeFileSync } from 'node:fs';

const repository = new URL('../../', import.meta.url);
const target = new URL('../src/codes.ts', import.meta.url);
const read = (path) => readFileSync(new URL(path, repository), 'utf8');

const errors = [...read('src/error.rs').matchAll(/^ {4}\w+, "(\w+)", (\d+), (true|false);$/gm)].map(
  ([, label, status, retryable]) => `  ${label}: { status: ${status}, retryable: ${retryable} },`,
);
const close = read('src/close.rs');
const reasons = [...close.matchAll(/^ {4}\w+ = (\d+), "(\w+)";$/gm)].map(([, code, label]) => `  ${code}: '${label}',`);
// `matches!(self.code(), 1001 | 1006 | 4000..=4499)`: single codes, and one range.
const rule = /matches!\(self\.code\(\), ([\d |]+) \| (\d+)\.\.=(\d+)\)/.exec(close);
if (errors.length < 20 || reasons.length < 10 || !rule) throw new Error('the tables of src/error.rs or src/close.rs look different');
const [, singles, first, last] = rule;

const text = `// What the node's refusals and Close frames are called. Written by scripts/codes.mjs; do not edit.

/** Every refusal: the HTTP status that carries it, and whether the same may succeed later. */
export const ERROR_CODES = {
${errors.join('\n')}
} as const;
export type ErrorCode = keyof typeof ERROR_CODES;

/** Why a connection ended, by the code of its Close frame. */
export const CLOSE_CODES = {
${reasons.join('\n')}
} as const;
export type CloseCode = keyof typeof CLOSE_CODES;

/** Whether to connect again: the range decides, so that codes to come are obeyed. */
export const reconnects = (code: number): boolean =>
  (code >= ${first} && code <= ${last}) || [${singles.split(' | ').join(', ')}].includes(code);
`;

if (!process.argv.includes('--check')) {
  writeFileSync(target, text);
} else if (readFileSync(target, 'utf8') !== text) {
  console.error('client/src/codes.ts is not what src/error.rs and src/close.rs say: run `make client`');
  process.exit(1);
}
