// The elements and the bridge in a real Chromium, under a strict policy, at a node in the page's memory.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { it } from 'node:test';
import type { Page } from 'playwright-core';
import type { FakeNode } from '../src/testing/node.js';
import { assertAccessible } from './axe.js';
import { inBrowser } from './browser.js';
import { DIST } from './paths.js';
import { pause, until } from './wait.js';

const display = inBrowser();

const SOURCE = `
  import * as library from '@notifier/client';
  import { bridge } from '@notifier/client/bridge';
  import { define } from '@notifier/client/elements';
  import { createFakeNode } from '@notifier/client/testing';
  const node = createFakeNode({ streams: { D: { subjects: ['shop.>'] } } });
  const seen = [];
  Object.assign(globalThis, { node, seen, library, bridge, define });
  library.configure(node.config);
  define();
`;
declare const node: FakeNode;
declare const seen: unknown[];
declare const library: typeof import('../src/index.js');
declare const bridge: typeof import('../src/bridge.js').bridge;
declare const define: () => void;

let pages = 0;
async function at(body: string, run: (page: Page) => Promise<void>): Promise<void> {
  await display(`elements-${pages++}`, { source: SOURCE, body }, run);
}
const text = (page: Page, selector: string): Promise<string | null> => page.textContent(selector);
const seenBy = (page: Page): Promise<unknown[]> => page.evaluate(() => seen);
const shows = (page: Page, selector: string, expected: string): Promise<boolean> =>
  until(async () => (await text(page, selector)) === expected, `${selector} shows ${expected}`);
/** `page.locator` sees into shadow roots. */
const part = (page: Page, name: string): Promise<string | null> => page.locator(`notifier-status [part=${name}]`).textContent();
const matches = (page: Page, selector: string): Promise<boolean> => page.evaluate((one) => !!document.querySelector(one), selector);

void it('the status element shows each status, lets styles name it, and offers to try again where nothing else helps', () =>
  at('<notifier-status label-online="On air"></notifier-status><notifier-subscribe subject="shop.x"></notifier-subscribe>', async (page) => {
    await until(async () => (await part(page, 'label')) === 'On air', 'online');
    assert.ok(await matches(page, 'notifier-status:state(online)'));
    const retry = page.locator('notifier-status [part=retry]');
    assert.equal(await retry.isVisible(), false);
    await page.evaluate(() => node.setStatus('degraded'));
    await until(() => matches(page, 'notifier-status[data-status=degraded]:state(degraded)'), 'degraded');
    await page.evaluate(() => node.setStatus('waiting'));
    await until(async () => /^Reconnecting in [012] s$/.test((await part(page, 'label')) ?? ''), 'a countdown');
    await page.evaluate(() => node.setStatus('closed'));
    await until(async () => (await part(page, 'label')) === 'Disconnected', 'closed');
    await page.evaluate(() => node.setStatus('online'));
    await retry.click();
    await until(async () => (await part(page, 'label')) === 'On air', 'online again');
    assert.equal(await retry.isVisible(), false);
    await page.evaluate(() => document.querySelector('notifier-status')?.setAttribute('label-online', 'Live again'));
    assert.equal(await part(page, 'label'), 'Live again');
  }));

void it('the status element reads out what lasts, and neither what passes at once nor each second of a countdown', () =>
  at('<notifier-status></notifier-status><notifier-subscribe subject="shop.x"></notifier-subscribe>', async (page) => {
    await until(() => matches(page, 'notifier-status:state(online)'), 'online');
    await page.evaluate(() => {
      const live = document.querySelector('notifier-status')?.shadowRoot?.querySelector('[role=status][aria-live=polite]');
      if (live) new MutationObserver(() => seen.push(live.textContent)).observe(live, { childList: true });
      const statuses: string[] = [];
      library.status.subscribe(({ status }) => statuses.push(status));
      Object.assign(globalThis, { statuses });
    });
    const statuses = (): Promise<string[]> => page.evaluate(() => (globalThis as unknown as { statuses: string[] }).statuses);
    await pause(1_100);
    await page.evaluate(() => node.cut());
    await until(async () => /waiting.*online$/.test((await statuses()).join()), 'away and back');
    await pause(1_500);
    assert.deepEqual(await seenBy(page), []);
    await page.evaluate(() => node.setStatus('closed'));
    await until(async () => (await seenBy(page)).length === 1, 'something is read out');
    assert.deepEqual(await seenBy(page), ['Disconnected']);
  }));

void it('axe finds no violation in the elements, whatever they show', () =>
  at(
    `<main><h1>Shop</h1><p>Cart: <notifier-subscribe subject="shop.x" snapshot bind="items">-</notifier-subscribe></p>
    <notifier-status></notifier-status><notifier-bridge subject="shop.x" event="cart-updated" both></notifier-bridge></main>`,
    async (page) => {
      for (const status of ['online', 'degraded', 'closed'] as const) {
        await page.evaluate((now) => node.setStatus(now), status);
        await until(() => matches(page, `notifier-status:state(${status})`), status);
        await assertAccessible(page, status);
      }
    },
  ));

void it('the subscribe element shows values as text alone, tells each event, and ends with its place in the document', () =>
  at(
    `<notifier-subscribe id="whole" subject="shop.cart.u42" snapshot bind="total.amount">-</notifier-subscribe>
    <notifier-subscribe id="parts" subject="shop.cart.*" snapshot><b data-bind="items">-</b> <i data-bind="note">-</i></notifier-subscribe>
    <section></section>`,
    async (page) => {
      await page.evaluate(() => document.addEventListener('notifier-event', (event) => {
        const { detail, target } = event as CustomEvent<{ data: { items: number } }>;
        seen.push([(target as Element).id, detail.data.items]);
      }));
      await until(() => matches(page, '#whole:state(live)'), 'live');
      await page.evaluate(() => node.emit('shop.cart.u42', { items: 2, note: '<img src=x>', total: { amount: 9.5 } }));
      await shows(page, '#whole', '9.5');
      await shows(page, '#parts', '2 <img src=x>');
      assert.deepEqual((await seenBy(page)).sort(), [['parts', 2], ['whole', 2]]);

      // Moved: the subscription stays, as nobody gives it up for long.
      await page.evaluate(() => document.querySelector('section')?.append(document.querySelector('#parts') ?? ''));
      await page.evaluate(() => node.emit('shop.cart.u7', { items: 3 }));
      await shows(page, '#parts b', '3');
      assert.equal(await text(page, '#parts i'), '');
      assert.equal(await text(page, '#whole'), '9.5');

      await page.evaluate(() => document.querySelector('#whole')?.setAttribute('subject', 'shop.cart.u8'));
      await page.evaluate(() => node.emit('shop.cart.u8', { items: 4, total: { amount: [1] } }));
      await shows(page, '#whole', '[1]');
      await page.evaluate(() => document.querySelectorAll('notifier-subscribe').forEach((one) => one.remove()));
      await until(() => page.evaluate(() => node.subjects.length === 0), 'nothing is subscribed');
    },
  ));

void it('the subscribe element tells a refusal, a lost connection and a gap', () =>
  at('<notifier-subscribe id="ok" subject="shop.a"></notifier-subscribe>', async (page) => {
    await page.evaluate(() => {
      for (const type of ['notifier-error', 'notifier-gap']) {
        document.addEventListener(type, (event) => {
          const { code, reason } = (event as CustomEvent<{ code?: string; reason?: string }>).detail;
          seen.push([type, code ?? reason]);
        });
      }
      node.refuse('secret.>');
      const secret = document.createElement('notifier-subscribe');
      secret.setAttribute('subject', 'secret.x');
      document.body.append(secret);
    });
    await until(() => matches(page, '[subject="secret.x"]:state(error)'), 'an error');
    await page.evaluate(() => node.setStatus('waiting'));
    await until(() => matches(page, '#ok[data-state=stale]'), 'stale');
    await page.evaluate(() => {
      node.emit('shop.a', 1);
      node.expire();
      node.setStatus('online');
    });
    await until(() => matches(page, '#ok:state(live)'), 'live again');
    // A new connection is asked once more, as the grants may have changed.
    await until(async () => (await seenBy(page)).length === 3, 'a gap between two refusals');
    assert.deepEqual((await seenBy(page)).sort(), [['notifier-error', 'forbidden'], ['notifier-error', 'forbidden'], ['notifier-gap', 'expired']]);
  }));

void it('a CustomEvent is published once, an event dispatched once, and nothing comes back as an echo', () =>
  at('<notifier-bridge subject="shop.cart" event="cart-updated" both></notifier-bridge><button>+</button>', async (page) => {
    await page.evaluate(() => {
      for (const target of [document, globalThis]) {
        target.addEventListener('cart-updated', (event) => seen.push((event as CustomEvent<unknown>).detail));
      }
    });
    await until(() => page.evaluate(() => node.subjects.includes('shop.cart')), 'subscribed');
    await page.evaluate(() => node.emit('shop.cart', 'from a service'));
    await until(async () => (await seenBy(page)).length === 2, 'seen at the document and at the window');
    // Old pages dispatch wherever they like: at an element, at the document, at the window.
    await page.evaluate(() => {
      const dispatch = (target: EventTarget | null, detail: string): unknown =>
        target?.dispatchEvent(new CustomEvent('cart-updated', { detail, bubbles: true }));
      dispatch(document.querySelector('button'), 'element');
      dispatch(document, 'document');
      dispatch(globalThis, 'window');
    });
    await until(() => page.evaluate(() => node.published.length === 3), 'three are published');
    await page.evaluate(() => node.emit('shop.cart', 'end'));
    await until(async () => (await seenBy(page)).includes('end'), 'the last one');
    assert.deepEqual(await page.evaluate(() => node.published.map(({ data }) => data)), ['element', 'document', 'window']);
    const twice = (detail: string): string[] => [detail, detail];
    assert.deepEqual(await seenBy(page), [...['from a service', 'element', 'document'].flatMap(twice), 'window', ...twice('end')]);
    await page.evaluate(() => {
      document.querySelector('notifier-bridge')?.remove();
      document.dispatchEvent(new CustomEvent('cart-updated', { detail: 'late' }));
    });
    assert.equal(await page.evaluate(() => node.published.length), 3);
  }));

void it('two bridges of one CustomEvent do not answer each other, and a page with both ways maps what it likes', () =>
  at('', async (page) => {
    await page.evaluate(() => {
      const target = new EventTarget();
      target.addEventListener('cart', (event) => seen.push((event as CustomEvent<unknown>).detail));
      Object.assign(globalThis, { target });
      bridge({ subject: 'shop.a', event: 'cart', target, both: true });
      bridge({
        subject: 'shop.b.*',
        event: 'cart',
        target,
        in: ({ subject, data }) => `${subject}=${String(data)}`,
        out: (detail) => (detail === 'private' ? null : { subject: 'shop.b.out', data: detail }),
      });
    });
    await until(() => page.evaluate(() => node.subjects.length === 2), 'subscribed');
    await page.evaluate(() => {
      node.emit('shop.a', 1);
      node.emit('shop.b.x', 2);
    });
    await until(async () => (await seenBy(page)).length === 2, 'two events');
    await page.evaluate(() => {
      const { target } = globalThis as unknown as { target: EventTarget };
      for (const detail of ['private', 'public']) target.dispatchEvent(new CustomEvent('cart', { detail }));
    });
    await until(() => page.evaluate(() => node.published.length === 3), 'three are published');
    assert.deepEqual(await page.evaluate(() => node.published.map(({ subject, data }) => `${subject} ${String(data)}`)), [
      'shop.a private',
      'shop.a public',
      'shop.b.out public',
    ]);
    assert.deepEqual(await seenBy(page), [1, 'shop.b.x=2', 'private', 'public']);
  }));

void it('a bridge ends by its signal, tells what could not be published, and needs a subject to publish under', () =>
  at('', async (page) => {
    await page.evaluate(() => {
      const onError = ({ code }: { code: string }): void => void seen.push(code);
      node.refuse('shop.no');
      const abort = new AbortController();
      bridge({ subject: 'shop.no', event: 'no', both: true, signal: abort.signal, onError });
      document.dispatchEvent(new CustomEvent('no'));
      bridge({ subject: 'shop.*', event: 'any', both: true, onError });
      Object.assign(globalThis, { abort });
    });
    await until(async () => (await seenBy(page)).length === 3, 'three errors');
    assert.deepEqual((await seenBy(page)).sort(), ['bad_subject', 'forbidden', 'forbidden']);
    await page.evaluate(() => {
      (globalThis as unknown as { abort: AbortController }).abort.abort();
      document.dispatchEvent(new CustomEvent('no'));
    });
    await pause(50);
    assert.equal((await seenBy(page)).length, 3);
  }));

void it('elements that are defined twice, or that another copy has defined, stay what they are', () =>
  at('<notifier-status></notifier-status>', async (page) => {
    await page.evaluate(() => {
      define();
      define();
    });
    assert.ok(await page.evaluate(() => !!document.querySelector('notifier-status')?.shadowRoot));
    assert.equal(await page.evaluate(() => library.inspect().copies.length), 1);
  }));

void it('the elements and the bridge are imported on a server without harm', () => {
  const script = `
    const { define, NotifierStatus } = await import(process.argv[1] + '/elements.js');
    define();
    const { bridge } = await import(process.argv[1] + '/bridge.js');
    const { unsubscribe } = bridge({ subject: 'shop.x', event: 'x', both: true });
    unsubscribe();
    if (typeof NotifierStatus !== 'function') throw new Error('no class');
  `;
  execFileSync(process.execPath, ['--input-type=module', '-e', script, DIST], { stdio: 'pipe' });
});
