// The inspector in a real Chromium, under a strict policy, at a node in the page's memory.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Page } from 'playwright-core';
import type { FakeNode } from '../src/testing/node.js';
import { assertAccessible } from './axe.js';
import { inBrowser } from './browser.js';
import { until } from './wait.js';

const display = inBrowser();

const SOURCE = `
  import { configure, subscribe } from '@notifier/client';
  import { define } from '@notifier/client/inspector';
  import { createFakeNode } from '@notifier/client/testing';
  const node = createFakeNode({ streams: { D: { subjects: ['shop.>'] } } });
  Object.assign(globalThis, { node, subscribe });
  configure(node.config);
  subscribe('shop.stock.>', () => {}, { label: 'stock' });
  subscribe('shop.cart.*', () => {}, { label: 'cart' });
  subscribe('shop.cart.*', () => {}, { label: 'badge' });
  define();
  define();
`;
declare const node: FakeNode;
declare const subscribe: typeof import('../src/index.js').subscribe;

/** The texts of all rows, by their subjects. */
const rows = (page: Page): Promise<Record<string, string[]>> =>
  page.evaluate(() => {
    const list = [...(document.querySelector('notifier-inspector')?.shadowRoot?.querySelectorAll('tbody tr') ?? [])];
    return Object.fromEntries(list.map((row) => [row.children[1]?.textContent ?? '', [...row.children].map((cell) => (cell.querySelector('summary') ?? cell).textContent ?? '')]));
  });
const facts = (page: Page): Promise<Record<string, string>> =>
  page.evaluate(() => {
    const list = [...(document.querySelector('notifier-inspector')?.shadowRoot?.querySelectorAll('dl div') ?? [])];
    return Object.fromEntries(list.map((one) => [one.children[0]?.textContent ?? '', one.children[1]?.textContent ?? '']));
  });

void it('the inspector shows the connection, and who has subscribed to what, how much came of it and what was lost', () =>
  display('inspector', { source: SOURCE, body: '<main><h1>Shop</h1><notifier-inspector></notifier-inspector></main>' }, async (page) => {
    await until(async () => (await facts(page)).Status === 'online', 'online');
    const { Node: name, User: user, Connection: connection, Version: version } = await facts(page);
    assert.deepEqual([name, user, connection, version], ['fake', 'test', 'fake-1', '1.0.0 of 1.0.0']);
    await until(async () => Object.keys(await rows(page)).join() === 'shop.cart.*,shop.stock.>', 'sorted by owners');
    assert.deepEqual((await rows(page))['shop.cart.*'], ['cart, badge', 'shop.cart.*', 'live', 'durable', '2', '0', '0.0', '0', 'none']);
    // A value is a text, whatever it looks like.
    await page.evaluate(() => {
      for (let number = 0; number < 5; number++) node.emit('shop.cart.u1', '<img src=x onerror=alert(1)>');
      node.lose('shop.stock.>');
    });
    await until(async () => (await rows(page))['shop.cart.*']?.[5] === '5', 'five events');
    const cart = (await rows(page))['shop.cart.*'];
    assert.ok(Number(cart?.[6]) > 1, cart?.[6]);
    assert.match(cart?.[8] ?? '', /^\d\d:\d\d:\d\d\.\d{3} shop\.cart\.u1 #5$/);
    assert.equal((await rows(page))['shop.stock.>']?.[7], '1 (overflow)');
    const details = page.locator('notifier-inspector details').first();
    await details.locator('summary').click();
    assert.match((await details.locator('pre').textContent()) ?? '', /"data": "<img src=x onerror=alert\(1\)>"/);

    await assertAccessible(page, 'the inspector');

    await page.evaluate(() => node.cut());
    await until(async () => /^1006/.test((await facts(page))['Last end'] ?? '') || (await facts(page)).dials === '2', 'the cut');
    await page.evaluate(() => {
      const { unsubscribe } = subscribe('shop.gone', () => {});
      setTimeout(unsubscribe, 1_200);
    });
    await until(async () => (await rows(page))['shop.gone'], 'a new subscription');
    await until(async () => !(await rows(page))['shop.gone'], 'its end');
    // Without a place in the document it looks at nothing.
    await page.evaluate(() => {
      const inspector = document.querySelector('notifier-inspector');
      inspector?.remove();
      document.querySelector('main')?.append(inspector ?? '');
    });
    assert.equal(await page.locator('notifier-inspector').evaluate((one) => one.shadowRoot?.querySelectorAll('table').length), 1);
  }));
