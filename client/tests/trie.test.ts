import assert from 'node:assert/strict';
import { it } from 'node:test';
import { covers } from '../src/subject.js';
import { Trie } from '../src/trie.js';
import { random } from './wait.js';

/** The definition: token by token. */
function matches(pattern: string, subject: string): boolean {
  const p = pattern.split('.');
  const s = subject.split('.');
  const same = (token: string, i: number): boolean => (token === '>' ? i < s.length : token === '*' || token === s[i]);
  return p.every(same) && (p.at(-1) === '>' || p.length === s.length) && p.length <= s.length;
}

const next = random(7);
const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
const subject = (): string => Array.from({ length: 1 + Math.floor(next() * 4) }, () => pick(['a', 'b', 'c'])).join('.');
const pattern = (): string => {
  const tokens = subject().split('.').map((token) => (next() < 0.3 ? '*' : token));
  if (next() < 0.3) tokens[tokens.length - 1] = '>';
  return tokens.join('.');
};

void it('the trie finds exactly the patterns that match, whatever is added and taken away', () => {
  const trie = new Trie<string>();
  const held = new Set<string>();
  for (let round = 0; round < 3_000; round++) {
    const one = pattern();
    if (next() < 0.5) {
      held.add(one);
      trie.set(one, one);
    } else {
      held.delete(one);
      trie.delete(one);
    }
    const asked = subject();
    assert.deepEqual([...trie.match(asked)].sort(), [...held].filter((p) => matches(p, asked)).sort(), asked);
  }
});

void it('a pattern covers another one when it matches all that the other matches', () => {
  const subjects = Array.from({ length: 400 }, subject);
  for (let round = 0; round < 3_000; round++) {
    const [wide, narrow] = [pattern(), pattern()];
    if (!covers(wide, narrow)) continue;
    for (const one of subjects) assert.ok(!matches(narrow, one) || matches(wide, one), `${wide} ${narrow} ${one}`);
  }
  const rows: [string, string, boolean][] = [
    ['>', 'a.b', true],
    ['a.>', 'a.*.c', true],
    ['a.>', 'a', false],
    ['a.*', 'a.>', false],
    ['*.b', 'a.b', true],
    ['a.b', 'a.b', true],
    ['a.b', 'a.*', false],
  ];
  for (const [wide, narrow, expected] of rows) assert.equal(covers(wide, narrow), expected, `${wide} ${narrow}`);
});
