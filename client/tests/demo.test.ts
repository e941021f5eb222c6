// The sample shop: one connection for all teams, whatever its buttons break; for a keyboard, a reader and a phone as well.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { it } from 'node:test';
import type { Page } from 'playwright-core';
import { ROOT } from './paths.js';
import { breakIt, carts, cartsAre, inShop, outcome, WIDE } from './shop.js';
import { pause, until } from './wait.js';

const COMPONENTS = 7;
/** Pages that may be cut off until one of them is back in time: a machine that does other things as well may be late. */
const PAGES = 8;
const BACK_MS = 300;

const shop = inShop();

const oldSockets = (page: Page, expected: number): Promise<boolean> =>
  until(async () => (await page.textContent('#old-sockets')) === `${expected} sockets`, `${expected} sockets of the old way`);
const oldLost = async (page: Page): Promise<number> => parseInt((await page.textContent('#old-lost')) ?? '', 10);

const add = (page: Page): Promise<void> => page.getByRole('button', { name: 'Add a mug to cart' }).click();
const publish = async (address: string, subject: string, data?: object, headers: Record<string, string> = { 'content-type': 'application/json' }): Promise<void> => {
  const body = data && JSON.stringify(data);
  const { ok } = await fetch(`${address}v1/publish/${subject}`, { method: 'POST', ...(body && { body }), headers });
  assert.ok(ok);
};

void it('the shop holds one socket for all teams, and what the old way loses comes to it, whatever breaks', () =>
  shop(async ({ page, sockets }) => {
    assert.match((await page.textContent('h1')) ?? '', /^7 teams, 5 frameworks, 5 client versions: 1 socket$/);
    await add(page);
    await cartsAre(page, 2);
    assert.equal(sockets.length, 1);

    const told = [await breakIt(page, 'cut')];

    const before = sockets.length;
    await page.getByRole('switch').check();
    await oldSockets(page, COMPONENTS);
    assert.equal(sockets.length, before + COMPONENTS);
    const away = await breakIt(page, 'away');
    assert.ok(Number(/brought after: (\d+)/.exec(away)?.[1]) >= 5, away);
    // The two seconds in which nothing can be reached are no time that the page takes.
    const [, reached, sinceCut] = /Back (\d+) ms after the node could be reached again, (\d+) ms after the cut/.exec(away) ?? [];
    assert.ok(Number(sinceCut) - Number(reached) >= 2_000, away);
    await cartsAre(page, 7);
    // Three components of the old way have missed five events each.
    await until(async () => (await oldLost(page)) >= 15, 'the old way has lost them');
    const online = [];
    for (const fault of ['drain', 'token', 'flood']) online.push(await breakIt(page, fault));
    for (const one of online) assert.match(one, /stayed online/);
    assert.match(online[1] ?? '', /The node warned, and the page brought a new one on the same connection\./);
    // They come back a second after the drain, and only what is open can die.
    await oldSockets(page, COMPONENTS);
    told.push(away, ...online, await breakIt(page, 'sleep'));
    for (const one of told) assert.match(one, /Lost: 0\. The cart is \d+ in all 3 places\.$/);
    // Nothing tells a socket that has died without a word.
    await oldSockets(page, 0);
    assert.equal(await page.textContent('#sockets'), '1 socket');
    await page.getByRole('button', { name: 'One mug more' }).click();
    await cartsAre(page, 8);
  }));

void it('a shop whose WebSockets are blocked lives by an event stream, and moves back when they pass again', () =>
  shop(async ({ page, sockets, address }) => {
    await publish(address, 'shop.cart.u42', { qty: 1, items: { mug: 1 } });
    await cartsAre(page, 1);
    const blocked = await breakIt(page, 'block');
    assert.match(blocked, /^WebSockets are refused from now on\. The page lives by 1 event stream .* Back \d+ ms after the cut\./);
    assert.match(blocked, /Lost: 0\. The cart is 1 in all 3 places\.$/);
    assert.equal(await page.textContent('#sockets'), '1 event stream');
    // The browser was answered, as by a proxy.
    assert.ok(sockets.some((socket) => socket.endsWith('/demo/no-websocket')), sockets.join());
    assert.ok(await page.getByRole('button', { name: 'Cut the socket' }).isDisabled());
    await add(page);
    await cartsAre(page, 2);
    await publish(address, 'shop.cart.u42', { qty: 5, items: { mug: 5 } });
    await cartsAre(page, 5);
    for (const name of ['look', 'delete']) assert.match(await breakIt(page, name), /stayed online\..*Lost: 0\. The cart is 5 in all 3 places\.$/);
    assert.match(await breakIt(page, 'block'), /^WebSockets pass again\..* The page stayed online\..*Lost: 0\. The cart is 5 in all 3 places\.$/);
    assert.equal(await page.textContent('#sockets'), '1 socket');
    await add(page);
    await cartsAre(page, 6);
  }));

void it('a value that is deleted is gone from all components, there or away, and comes back when it is written', () =>
  shop(async ({ page, address }) => {
    const subject = 'shop.stock.chair';
    const shows = (...expected: string[]): Promise<boolean> =>
      until(async () => (await page.locator('[data-stock=chair]').allTextContents()).join() === expected.join(), expected.join());
    assert.match(await breakIt(page, 'delete'), /^A service deleted shop\.stock\.chair\. All 2 components that show it say that it is gone \(deleted\)\..*Lost: 0/);
    await shows('gone', 'gone');
    await publish(address, subject, { sku: 'chair', left: 5 });
    await shows('5 left', '5');
    await page.locator('[data-break=away]').click();
    await until(() => page.evaluate(() => !navigator.onLine), 'the page is away');
    await publish(address, subject, undefined, { 'kv-operation': 'DEL' });
    await outcome(page);
    await shows('gone', 'gone');
  }));

void it('the node refuses the user of the shop what belongs to another, and a terminal nothing', () =>
  shop(async ({ page, address }) => {
    assert.match(await breakIt(page, 'look'), /^The page asked for shop\.cart\.u43, .* refused it to u42 \(forbidden\): .*shop\.cart\.u43.*stayed online/);
    await publish(address, 'shop.cart.u43', { qty: 1 });
    const login = await fetch(`${address}demo/token/60`, { method: 'POST' });
    const headers = { authorization: `Bearer ${await login.text()}` };
    const { status } = await fetch(`${address}v1/last/shop.cart.u43`, { headers });
    assert.equal(status, 403);
  }));

void it('the shop is back within 300 ms of a cut', async () => {
  const told: string[] = [];
  const isInTime = (one: string): boolean => Number(/Back (\d+) ms after the cut/.exec(one)?.[1]) <= BACK_MS;
  while (!told.some(isInTime) && told.length < PAGES) {
    await shop(async ({ page }) => {
      // A connection that ends within a second of its dial counts as an attempt in vain.
      await pause(1_100);
      told.push(await breakIt(page, 'cut'));
    });
  }
  assert.ok(told.some(isInTime), told.join('\n'));
});

void it('a service in any language changes the cart in all places, with or without the names of things', () =>
  shop(async ({ page, address }) => {
    for (const [data, qty] of [[{ qty: 7 }, 7], [{ qty: 2, items: { lamp: 2 } }, 2]] as const) {
      await publish(address, 'shop.cart.u42', data);
      await cartsAre(page, qty);
    }
  }));

void it('the shop works by keyboard alone', () =>
  shop(async ({ page }) => {
    const focused = (): Promise<string> => page.evaluate(() => document.activeElement?.textContent?.trim().replace(/\s+/g, ' ') ?? '');
    const tabTo = async (name: string): Promise<void> => {
      for (let stops = 0; stops < 40; stops++) {
        await page.keyboard.press('Tab');
        if ((await focused()) === name) return;
      }
      assert.fail(`no way to ${name}`);
    };
    await tabTo('Raw events');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    await oldSockets(page, COMPONENTS);
    await tabTo('Cut the socket');
    await page.keyboard.press('Enter');
    assert.match(await outcome(page), /Lost: 0/);
    assert.equal(await focused(), 'Cut the socket');
    await tabTo('Add a mug to cart');
    const before = Number((await carts(page))[0]);
    await page.keyboard.press('Space');
    await cartsAre(page, before + 1);
    await tabTo('Empty the cart');
    await page.keyboard.press('Enter');
    await cartsAre(page, 0);
    await tabTo('Inspector: the one connection and all who share it');
    await page.keyboard.press('Enter');
    await page.locator('notifier-inspector').getByText('shop.cart.u42', { exact: true }).waitFor();
  }));

declare const axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[]; passes: unknown[] }> };

void it('the questions of a newcomer are answered without scrolling, and axe finds no violation, light, dark and on a phone', () =>
  shop(async ({ page }) => {
    const phone = { width: 390, height: 844 };
    await page.evaluate(readFileSync(createRequire(join(ROOT, 'package.json')).resolve('axe-core/axe.min.js'), 'utf8'));
    for (const size of [WIDE, phone]) {
      await page.setViewportSize(size);
      const facts = await page.locator('.facts > div').all();
      assert.equal(facts.length, 5);
      for (const fact of facts) {
        const box = await fact.boundingBox();
        assert.ok(box && box.y + box.height <= size.height, await fact.innerText());
      }
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing to scroll sideways');
    }
    await add(page);
    await page.getByRole('switch').check();
    await page.locator('#inspector summary').click();
    await page.locator('notifier-inspector').getByText('shop.cart.u42', { exact: true }).waitFor();
    for (const [size, colorScheme] of [[WIDE, 'light'], [WIDE, 'dark'], [phone, 'light'], [phone, 'dark']] as const) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      const found = await page.evaluate(async () => {
        const { violations, passes } = await axe.run();
        return { violations: violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]), passes: passes.length };
      });
      assert.deepEqual(found.violations, [], `${size.width} ${colorScheme}`);
      assert.ok(found.passes > 20);
    }
  }));
