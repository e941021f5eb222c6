// Sleep, wake-ups and crowds, on a clock that stands still until the test lets time pass.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Client } from '../src/client.js';
import { type Clock, settle, withClock } from './clock.js';

async function online(clock: Clock): Promise<Client> {
  const client = clock.client();
  client.subscribe('x', () => {});
  await settle();
  assert.equal(client.status.getSnapshot().status, 'online');
  return client;
}

const WAKES: [name: string, target: 'window' | 'document'][] = [
  ['online', 'window'],
  ['pageshow', 'window'],
  ['resume', 'document'],
  ['visibilitychange', 'document'],
];

for (const [name, target] of WAKES) {
  void it(`a page that has waited long is back within 1,250 ms of \`${name}\``, () =>
    withClock(async (clock) => {
      const client = await online(clock);
      clock.reachable = false;
      clock.dials[0]?.wire.close();
      await settle();
      // Attempts in vain, until the next one is far away.
      const next = (): number => (client.status.getSnapshot().retryAt ?? 0) - Date.now();
      for (let i = 0; i < 1_000 && next() < 10_000; i++) await clock.pass(1_000);
      assert.ok(next() >= 10_000);
      clock.reachable = true;
      clock[target].dispatchEvent(new Event(name));
      // Attempts are 1,000 ms apart, and a crowd that hears the same spreads over 250 ms.
      await clock.pass(1_250, 50);
      assert.equal(client.status.getSnapshot().status, 'online');
    }));
}

void it('a page that slept for 10 minutes, or was hidden, keeps a connection that is well', () =>
  withClock(async (clock) => {
    await online(clock);
    // The page is told that it is visible, or an overdue timer is the first to run: either asks the node.
    for (const wake of [() => clock.document.dispatchEvent(new Event('visibilitychange')), () => clock.pass(1)]) {
      const asked = (): number => clock.dials[0]?.frames.filter(({ ping }) => ping).length ?? 0;
      const before = asked();
      clock.sleep(600_000);
      clock.answering = false;
      await wake();
      await settle();
      assert.equal(asked(), before + 1);
      // On a slow network an answer takes its time.
      await clock.pass(1_900, 100);
      clock.answering = true;
      await clock.arrive();
      await clock.pass(10_000, 500);
    }
    assert.equal(clock.dials.length, 1);
  }));

void it('a probe that a sleep has interrupted gives the answer that waits its chance', () =>
  withClock(async (clock) => {
    await online(clock);
    clock.answering = false;
    clock.document.dispatchEvent(new Event('visibilitychange'));
    await settle();
    assert.ok(clock.dials[0]?.frames.some(({ ping }) => ping));
    clock.sleep(600_000);
    // The deadline is long over, and its timer runs before the message that has come.
    await clock.pass(1);
    clock.answering = true;
    await clock.arrive();
    await clock.pass(20_000, 500);
    assert.equal(clock.dials.length, 1);
  }));

void it('a handshake that was completed in a sleep counts', () =>
  withClock(async (clock) => {
    clock.answering = false;
    const client = clock.client();
    client.subscribe('x', () => {});
    await settle();
    clock.sleep(600_000);
    await clock.pass(1);
    clock.answering = true;
    await clock.arrive();
    await clock.pass(5_000, 500);
    assert.deepEqual([client.status.getSnapshot().status, clock.dials.length], ['online', 1]);
  }));

void it('a connection that died in 10 minutes of hiding is replaced within 3 s of the page being visible', () =>
  withClock(async (clock) => {
    const client = await online(clock);
    clock.sleep(600_000);
    clock.answering = false;
    clock.document.dispatchEvent(new Event('visibilitychange'));
    await clock.pass(2_001, 100);
    clock.answering = true;
    await clock.pass(999, 50);
    assert.deepEqual([client.status.getSnapshot().status, clock.dials.length], ['online', 2]);
  }));

/** 1,000 moments between 0 and `within`, about as many in each quarter. */
function assertSpread(moments: number[], within: number): void {
  assert.equal(moments.length, 1_000);
  for (const quarter of [0, 1, 2, 3]) {
    const share = moments.filter((ms) => Math.min(3, Math.floor((ms * 4) / within)) === quarter).length;
    assert.ok(share > 170 && share < 330, `${share} of 1,000 in quarter ${quarter}`);
  }
}

void it('1,000 pages of a node that was killed dial spread over 250 ms, and none twice', () =>
  withClock(async (clock) => {
    for (let i = 0; i < 1_000; i++) clock.client().subscribe('x', () => {});
    await settle();
    await clock.pass(1_000);
    const killed = Date.now();
    for (const { wire } of [...clock.dials]) wire.close();
    await settle();
    await clock.pass(250, 2);
    assertSpread(clock.dials.slice(1_000).map(({ at }) => at - killed), 250);
    assert.ok(clock.clients.every((client) => client.status.getSnapshot().status === 'online'));
  }));

void it('1,000 pages that are told when to come back do so then, and spread', () =>
  withClock(async (clock) => {
    clock.onConnect = (wire) => {
      wire.send(JSON.stringify({ error: { code: 'overloaded', message: 'm', retryable: true, retryAfterMs: 5_000 } }));
      wire.close(4004, 'rate_limited');
    };
    for (let i = 0; i < 1_000; i++) clock.client().subscribe('x', () => {});
    await settle();
    clock.onConnect = undefined;
    // What wakes a page does not bring it back earlier.
    clock.window.dispatchEvent(new Event('online'));
    await clock.pass(4_999, 50);
    assert.equal(clock.dials.length, 1_000);
    await clock.pass(251, 2);
    assertSpread(clock.dials.slice(1_000).map(({ at }) => at - 5_000), 250);
  }));

const REFUSALS: Record<string, (clock: Clock) => void> = {
  'cannot be reached': (clock) => (clock.reachable = false),
  'answers `connect` by an error': (clock) =>
    (clock.onConnect = (wire) => {
      wire.send(JSON.stringify({ error: { code: 'overloaded', message: 'm', retryable: true } }));
      wire.close(1013, '');
    }),
  'welcomes and closes': (clock) =>
    (clock.onConnect = (wire) => {
      wire.send(JSON.stringify({ replyTo: 1, welcome: { connection: 'c', node: 'n', heartbeatMs: 25_000, limits: {} } }));
      wire.close(4001, 'draining');
    }),
  'never answers': (clock) => (clock.answering = false),
};

for (const [what, refuse] of Object.entries(REFUSALS)) {
  void it(`a node that ${what} is tried less and less, and at most once per second however often a page wakes`, () =>
    withClock(async (clock) => {
      refuse(clock);
      clock.client().subscribe('x', () => {});
      await settle();
      await clock.pass(600_000, 500);
      const alone = clock.dials.length;
      assert.ok(alone >= 15 && alone <= 90, `${alone} attempts in 10 minutes`);
      for (let i = 0; i < 600; i++) {
        clock.window.dispatchEvent(new Event('online'));
        clock.document.dispatchEvent(new Event('visibilitychange'));
        await clock.pass(100);
      }
      const woken = clock.dials.length - alone;
      assert.ok(woken <= 61, `${woken} attempts in a minute of wake-ups`);
    }));
}
