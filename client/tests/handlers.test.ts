// What handlers of different teams may do to each other: nothing.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { event, pair } from './world.js';
import { until } from './wait.js';

/** Collects what would be shown in the console. */
function consoleErrors(t: { mock: { method: typeof import('node:test').mock.method } }): unknown[] {
  const errors: unknown[] = [];
  t.mock.method(console, 'error', (error: unknown) => void errors.push(error));
  return errors;
}

void it('a handler that throws or rejects is reported, and the others hear everything', (t) =>
  pair(async ({ client, peer }) => {
    const errors = consoleErrors(t);
    const heard: unknown[] = [];
    client.subscribe('x', () => {
      throw new Error('thrown');
    });
    client.subscribe('x', () => Promise.reject(new Error('rejected')));
    client.subscribe('x', ({ data }) => heard.push(data));
    const node = await peer();
    await node.subscribed('x');
    node.send(event('x', 1), event('x', 2));
    await until(() => heard.length === 2 && errors.length === 4, 'two events, four errors');
    assert.deepEqual(heard, [1, 2]);
    assert.equal(client.status.getSnapshot().status, 'online');
  }));

void it('handlers that throw on a gap, an error or a change of status break nothing', (t) =>
  pair(async ({ client, peer }) => {
    const errors = consoleErrors(t);
    const fail = (): never => {
      throw new Error('thrown');
    };
    const heard: unknown[] = [];
    client.status.subscribe(fail);
    client.subscribe('d.>', fail, { onGap: fail, onError: fail });
    client.subscribe('d.>', ({ seq }) => heard.push(seq));
    const first = await peer();
    await first.subscribed('d.>', { delivery: 'durable', positions: [{ stream: 'S', epoch: 'E', seq: 1 }] });
    first.send(event('d.x', 1, 2), { gap: { subject: 'd.>', stream: 'S', toSeq: 5, reason: 'expired' } });
    first.send({ error: { code: 'broker_refused', message: 'm', subject: 'd.>', retryable: true } });
    await until(() => heard.length === 1, 'an event');
    first.socket.terminate();
    const second = await peer();
    await second.subscribed('d.>', { delivery: 'durable', positions: [{ stream: 'S', epoch: 'E', seq: 5 }], recovered: true });
    second.send(event('d.x', 1, 6));
    await until(() => heard.length === 2, 'an event after the cut');
    assert.deepEqual(heard, [2, 6]);
    assert.ok(errors.length >= 6);
  }));

void it('a handler may subscribe inside an event, and the new one begins behind it', () =>
  pair(async ({ client, peer }) => {
    const outer: unknown[] = [];
    const inner: unknown[] = [];
    client.subscribe('d.>', ({ seq }) => {
      outer.push(seq);
      if (outer.length === 1) client.subscribe('d.>', (later) => inner.push(later.seq));
    });
    const node = await peer();
    await node.subscribed('d.>', { delivery: 'durable', positions: [{ stream: 'S', epoch: 'E', seq: 1 }] });
    node.send(event('d.x', 1, 2), event('d.x', 1, 3), event('d.x', 1, 4));
    await until(() => outer.length === 3, 'three events');
    assert.deepEqual([outer, inner], [[2, 3, 4], [3, 4]]);
  }));

void it('a handler may end itself and others inside an event, at once', () =>
  pair(async ({ client, peer }) => {
    const heard: string[] = [];
    const first = client.subscribe('x', () => {
      heard.push('first');
      first.unsubscribe();
      first.unsubscribe();
      second.unsubscribe();
    });
    const second = client.subscribe('x', () => heard.push('second'));
    client.subscribe('x', () => heard.push('third'));
    const node = await peer();
    await node.subscribed('x');
    node.send(event('x', 1), event('x', 2));
    await until(() => heard.length === 3, 'three calls');
    assert.deepEqual(heard, ['first', 'third', 'third']);
  }));

void it('a handler may configure the connection anew inside an event: it hears each stored event once', () =>
  pair(async ({ node, client, peer }) => {
    const heard: unknown[] = [];
    client.subscribe('d.>', ({ seq }) => {
      heard.push(seq);
      if (heard.length === 1) client.configure({ url: `${node.url}?again` });
    });
    const first = await peer();
    await first.subscribed('d.>', { delivery: 'durable', positions: [{ stream: 'S', epoch: 'E', seq: 1 }] });
    // The second event was on its way when the handler turned elsewhere; it comes again there.
    first.send(event('d.x', 1, 2), event('d.x', 1, 3));
    const second = await peer();
    const { subscribe } = await second.subscribed('d.>', {
      delivery: 'durable',
      positions: [{ stream: 'S', epoch: 'E', seq: 2 }],
      recovered: true,
    });
    assert.deepEqual(subscribe, { subject: 'd.>', after: [{ stream: 'S', epoch: 'E', seq: 2 }] });
    second.send(event('d.x', 1, 3));
    await until(() => heard.length === 2, 'two events');
    assert.deepEqual(heard, [2, 3]);
  }));

void it('whatever verb runs inside whatever callback, the page goes on', () =>
  pair(async ({ client, peer }) => {
    let calls = 0;
    const everything = (): void => {
      calls++;
      client.subscribe('y', () => {}).unsubscribe();
      client.live('y').subscribe(() => {})();
      void client.publish('y', 1).catch(() => {});
      void client.request('y', 1).catch(() => {});
      void client.fetch('y').catch(() => {});
      client.cursor();
      client.inspect();
      client.configure({});
    };
    const heard: unknown[] = [];
    client.status.subscribe(everything);
    client.subscribe('x', everything, { onGap: everything, onError: everything });
    client.subscribe('x', ({ data }) => heard.push(data));
    const first = await peer();
    await first.subscribed('x');
    first.send(event('x', 1), { gap: { subject: 'x', reason: 'overflow' } });
    await until(() => heard.length === 1, 'an event');
    first.socket.terminate();
    const second = await peer();
    await second.subscribed('x');
    second.send(event('x', 2));
    await until(() => heard.length === 2, 'an event after the cut');
    assert.ok(calls >= 5);
  }));

void it('a subscription ends by its signal, by `unsubscribe` and by `using`, before it began as well', () =>
  pair(async ({ client, peer }) => {
    const heard: string[] = [];
    const abort = new AbortController();
    client.subscribe('x', () => heard.push('signal'), { signal: abort.signal });
    client.subscribe('x', () => heard.push('aborted'), { signal: AbortSignal.abort() });
    {
      using subscription = client.subscribe('x', () => heard.push('using'));
      assert.equal(subscription.subject, 'x');
    }
    client.subscribe('x', () => heard.push('stays'));
    const node = await peer();
    await node.subscribed('x');
    node.send(event('x', 1));
    await until(() => heard.length === 2, 'an event');
    abort.abort();
    node.send(event('x', 2));
    await until(() => heard.length === 3, 'another event');
    assert.deepEqual(heard, ['signal', 'stays', 'stays']);
    assert.deepEqual(node.rest, []);
  }));

void it('a refused subject is asked for again by the next component, and reported where nobody listens for errors', (t) =>
  pair(async ({ client, peer }) => {
    const errors = consoleErrors(t);
    const told: string[] = [];
    client.subscribe('secret', () => {});
    const node = await peer();
    const refuse = async (): Promise<void> => {
      const { id } = await node.next('subscribe');
      node.send({ replyTo: id, error: { code: 'forbidden', message: 'm', subject: 'secret' } });
    };
    await refuse();
    await until(() => errors.length === 1, 'a report');
    const { ready } = client.subscribe('secret', () => {}, { onError: ({ code }) => told.push(code) });
    await refuse();
    await assert.rejects(ready, { code: 'forbidden' });
    assert.deepEqual(told, ['forbidden']);
  }));

void it('a page that was turned away is used again once it is configured anew', () =>
  pair(async ({ node, client }) => {
    client.configure({ token: () => 'refused' });
    const first = client.publish('x', 1);
    first.catch(() => {});
    for (const number of [0, 1]) (await node.peer(number)).socket.close(4501, 'unauthorized');
    await assert.rejects(first, { code: 'unauthorized' });
    await assert.rejects(client.publish('x', 2), { code: 'unauthorized' });
    client.configure({});
    void client.publish('x', 3).catch(() => {});
    await (await node.peer(2)).welcome();
    await until(() => client.status.getSnapshot().status === 'online', 'online');
  }));
