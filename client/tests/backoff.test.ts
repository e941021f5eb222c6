import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Backoff } from '../src/backoff.js';
import { Budget } from '../src/budget.js';

/** Delays of attempts one after the other, none of which works. */
function inVain(backoff: Backoff, count: number): number[] {
  return Array.from({ length: count }, () => {
    backoff.dialled();
    return backoff.next();
  });
}

void it('1,000 clients of a node that was killed come back spread over 250 ms', (t) => {
  t.mock.timers.enable({ apis: ['Date'] });
  const delays = Array.from({ length: 1_000 }, () => {
    const backoff = new Backoff();
    backoff.dialled();
    backoff.welcomed();
    return backoff;
  });
  t.mock.timers.tick(60_000);
  const first = delays.map((backoff) => (backoff.lost(), backoff.next())).sort((a, b) => a - b);
  assert.ok((first[999] ?? 0) <= 250);
  for (const quarter of [1, 2, 3]) {
    const median = first[quarter * 250] ?? 0;
    assert.ok(Math.abs(median - quarter * 62.5) < 15, `quarter ${quarter}: ${median}`);
  }
});

void it('attempts in vain become rare, up to 30 s, and never more than one per second in the long run', () => {
  const many = Array.from({ length: 300 }, () => inVain(new Backoff(), 20));
  for (const delays of many) {
    delays.forEach((delay, attempt) => assert.ok(delay <= Math.min(30_000, 500 * 2 ** attempt), `${attempt}: ${delay}`));
    assert.ok(delays.reduce((sum, delay) => sum + delay, 0) > 20_000);
  }
});

void it('a connection that was thrown out at once counts as an attempt in vain', () => {
  const backoff = new Backoff();
  for (let attempt = 1; attempt <= 8; attempt++) {
    backoff.dialled();
    backoff.welcomed();
    backoff.lost();
    backoff.next();
    assert.equal(backoff.attempt, attempt);
  }
});

void it('nobody comes back before the node wants it', () => {
  const backoff = new Backoff();
  for (let attempt = 0; attempt < 50; attempt++) assert.ok(backoff.next(5_000) >= 5_000);
});

void it('a budget lets a burst through and then its rate', (t) => {
  t.mock.timers.enable({ apis: ['Date'] });
  const budget = new Budget(100, 1_000);
  const spend = (): number => {
    let spent = 0;
    while (budget.has(1)) {
      budget.spend(1);
      spent++;
    }
    return spent;
  };
  assert.equal(spend(), 900);
  t.mock.timers.tick(1_000);
  assert.equal(spend(), 90);
  t.mock.timers.tick(3_600_000);
  assert.equal(spend(), 900);
});
