// The example of a client in another language, held against the wire cases over protocol buffers.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { CASES, ROOT } from './paths.js';

const PYTHON = process.env.PYTHON ?? 'python3';

void it('the example in Python passes the wire cases that are not of a page', (t) => {
  const has = spawnSync(PYTHON, ['-c', 'import google.protobuf, websockets.asyncio.client']);
  if (has.status !== 0) {
    // Seen in the output of the whole run, too.
    console.log(`skipped: ${PYTHON} lacks protobuf or websockets`);
    return t.skip('no such Python');
  }
  const files = readdirSync(CASES).sort().map((file) => join(CASES, file));
  const { status, stdout, stderr } = spawnSync(PYTHON, [join(ROOT, 'examples/python/cases.py'), ...files], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
  const count = (word: string): number => stdout.split('\n').filter((line) => line.startsWith(`${word} `)).length;
  assert.ok(count('ok') >= 20 && count('skip') <= 15, stdout);
  t.diagnostic(`${count('ok')} cases, ${count('skip')} left out`);
});
