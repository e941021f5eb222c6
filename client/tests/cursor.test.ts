import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Cursor } from '../src/cursor.js';

const at = (seq: number, epoch = 'E1', stream = 'S') => ({ stream, epoch, seq });

void it('a cursor passes each sequence once', () => {
  const cursor = new Cursor([at(5)]);
  assert.deepEqual([5, 6, 6, 4, 9].map((seq) => cursor.raise('S', seq)), [false, true, false, false, true]);
  assert.deepEqual(cursor.positions(), [at(9)]);
});

void it('sequences before their epoch is known are kept, and told once it is', () => {
  const cursor = new Cursor();
  cursor.raise('S', 8);
  assert.deepEqual(cursor.positions(), []);
  cursor.join(at(7));
  assert.deepEqual(cursor.positions(), [at(8)]);
});

void it('a checkpoint counts for streams that are reached, in their epoch', () => {
  const cursor = new Cursor([at(5)]);
  cursor.checkpoint(at(9, 'E2'));
  cursor.checkpoint(at(3));
  cursor.checkpoint(at(7, 'E1', 'OTHER'));
  assert.deepEqual(cursor.positions(), [at(5)]);
  cursor.checkpoint(at(9));
  assert.deepEqual(cursor.positions(), [at(9)]);
});

void it('after a reset the stream begins anew, below what was known', () => {
  const cursor = new Cursor([at(500)]);
  cursor.reset('S');
  cursor.checkpoint(at(2, 'E2'));
  assert.ok(cursor.raise('S', 3));
  assert.deepEqual(cursor.positions(), [at(3, 'E2')]);
});

void it('a cursor becomes a text that fits a URL, and comes back from it', () => {
  const positions = [at(0), at(12, 'e.1~x', 'a stream'), at(Number.MAX_SAFE_INTEGER, 'E', 'Ü')];
  const text = new Cursor(positions).toString();
  assert.match(text, /^[A-Za-z0-9._~%-]+$/);
  assert.deepEqual(Cursor.parse(text).positions(), positions);
  assert.equal(new Cursor().toString(), 'v1');
  for (const bad of ['', 'v2', 'v1.S', 'v1.S~E', 'v1.S~E~x', 'v1.~E~1', 'v1.S~E~-1', 'v1.S~%E0~1']) {
    assert.throws(() => Cursor.parse(bad), { code: 'bad_request' }, bad);
  }
});
