// Tokens: asked from the application once at a time, whoever needs one.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { TokenReason } from '../src/types.js';
import { pause, until } from './wait.js';
import { pair } from './world.js';

/** An application that takes its time. */
function application(): { reasons: TokenReason[]; token: (context: { reason: TokenReason }) => Promise<string>; bring: () => void } {
  const reasons: TokenReason[] = [];
  const waiting: ((token: string) => void)[] = [];
  return {
    reasons,
    token: ({ reason }) => {
      reasons.push(reason);
      return new Promise((resolve) => waiting.push(resolve));
    },
    bring: () => waiting.splice(0).forEach((resolve) => resolve(`token-${reasons.length}`)),
  };
}

void it('ten callers wait for one token, and the dial for it', async () => {
  const { reasons, token, bring } = application();
  await pair(
    async ({ node, client, peer }) => {
      for (let i = 0; i < 5; i++) {
        client.subscribe(`x.${i}`, () => {});
        void client.publish('x', i).catch(() => {});
      }
      await until(() => reasons.length, 'a call');
      await pause(50);
      assert.deepEqual([reasons, node.peers.length], [['connect'], 0]);
      bring();
      const first = await node.peer(0);
      assert.deepEqual((await until(() => first.frames[0], 'connect')).connect, {
        client: { name: 'notifier-client', version: '1.0.0-alpha.1' },
        token: 'token-1',
      });
      await peer();
      assert.deepEqual(reasons, ['connect']);
    },
    { token },
  );
});

void it('a refresh dies with its connection: the dial that follows uses its token, and nothing is sent twice', async () => {
  const { reasons, token, bring } = application();
  await pair(
    async ({ client, peer }) => {
      client.subscribe('x', () => {});
      await until(() => reasons.length === 1, 'a call');
      bring();
      const first = await peer();
      await first.subscribed('x');
      first.send({ tokenExpiring: { inMs: 1_000 } });
      await until(() => reasons.length === 2, 'a second call');
      first.socket.terminate();
      // The dial joins the call that is under way.
      await until(() => client.status.getSnapshot().status === 'connecting', 'a dial');
      bring();
      const second = await peer();
      assert.equal((second.frames[0]?.connect as { token: string }).token, 'token-2');
      await second.subscribed('x');
      await pause(50);
      assert.deepEqual([reasons, second.rest], [['connect', 'expiring'], []]);
    },
    { token },
  );
});

void it('an application that fails to bring a token is asked again after a pause, and the status says why', async () => {
  let calls = 0;
  const token = (): string => {
    if (++calls === 1) throw new Error('logged out');
    return 'token';
  };
  await pair(
    async ({ client, peer }) => {
      client.subscribe('x', () => {});
      await until(() => client.status.getSnapshot().reason === 'logged out', 'the reason');
      assert.equal(client.status.getSnapshot().status, 'waiting');
      await (await peer()).subscribed('x');
      assert.equal(calls, 2);
    },
    { token },
  );
});

void it('a second owner of the token is told, and changes nothing', async (t) => {
  const warnings: unknown[] = [];
  t.mock.method(console, 'warn', (text: unknown) => void warnings.push(text));
  await pair(
    async ({ client, peer }) => {
      client.subscribe('x', () => {});
      const first = await peer();
      client.configure({ token: () => 'another' });
      await first.subscribed('x');
      assert.equal((first.frames[0]?.connect as { token: string }).token, 'mine');
      assert.deepEqual([warnings.length, client.inspect().counters.dials], [1, 1]);
    },
    { token: () => 'mine' },
  );
});
