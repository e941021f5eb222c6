// A node that leaves, and what goes wrong meanwhile.
import assert from 'node:assert/strict';
import { it, mock } from 'node:test';
import { pause, until } from './wait.js';
import { event, pair } from './world.js';

void it('attempts to move that fail do not delay coming back once the node is gone', () =>
  pair(async ({ node, client, peer }) => {
    const heard: unknown[] = [];
    client.subscribe('x', ({ data }) => heard.push(data));
    const first = await peer();
    await first.subscribed('x');
    await pause(1_100);
    first.send({ goaway: { windowMs: 10_000, reason: 'draining' } });
    // The next ones land on a node that turns them away; the page stays online by the first.
    for (const number of [1, 2, 3]) (await node.peer(number)).socket.terminate();
    assert.equal(client.status.getSnapshot().status, 'online');
    first.send(event('x', 1));
    await until(() => heard.length === 1, 'an event by the first connection');
    // The longest of the waits that may be drawn: 250 ms, or 4 s if the attempts to move counted.
    const drawn = mock.method(Math, 'random', () => 0.999);
    const began = Date.now();
    first.socket.close(4001, 'draining');
    await (await node.peer(4)).welcome();
    drawn.mock.restore();
    assert.ok(Date.now() - began < 2_000, `${Date.now() - began} ms`);
    await until(() => client.status.getSnapshot().status === 'online', 'online');
  }));

void it('a node that turns a second connection away for good ends nothing while the first one stands', () =>
  pair(async ({ node, client, peer }) => {
    client.subscribe('x', () => {});
    const first = await peer();
    await first.subscribed('x');
    first.send({ goaway: { windowMs: 10_000, reason: 'draining' } });
    (await node.peer(1)).socket.close(4510, 'user_limit');
    const third = await node.peer(2);
    assert.equal(client.status.getSnapshot().status, 'online');
    await third.welcome();
    await third.subscribed('x');
    assert.equal((await until(() => first.closed, 'the first connection is closed')).code, 1000);
  }));
