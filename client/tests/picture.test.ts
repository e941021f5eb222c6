// The picture of the README, made from the running shop: `make picture`. Otherwise this looks whether the shop still shows
// what the picture shows.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import type { Page } from 'playwright-core';
import { REPOSITORY } from './paths.js';
import { breakIt, cartsAre, inShop } from './shop.js';
import { until } from './wait.js';

const FOLDER = join(REPOSITORY, 'docs/images');
const SHOWN = join(FOLDER, 'shop.txt');
const SCHEMES = ['light', 'dark'] as const;
const SIZE = { width: 1280, height: 800 };

const shop = inShop();

/** The texts that are always there, one a line, without the numbers that change. */
async function shownBy(page: Page): Promise<string> {
  const lines = await page.locator('h1, h2, h3, dt, dd, thead th, button:not([hidden]), nav a, .toggle').evaluateAll((all) =>
    all.map((one) => `${one.tagName.toLowerCase()}: ${one.textContent.trim().replace(/\s+/g, ' ').replace(/\d+/g, '#')}`),
  );
  return `${lines.join('\n')}\n`;
}

void it('the picture of the README shows what the shop shows', () =>
  shop(async ({ page }) => {
    await page.setViewportSize(SIZE);
    for (const name of ['a mug', 'a lamp']) await page.getByRole('button', { name: `Add ${name} to cart` }).click();
    await cartsAre(page, 3);
    await page.getByRole('switch').check();
    await until(async () => (await page.textContent('#old-sockets')) === '7 sockets', 'the old way');
    const shown = await shownBy(page);
    if (process.env.UPDATE_PICTURE) {
      mkdirSync(FOLDER, { recursive: true });
      await breakIt(page, 'away');
      await until(async () => parseInt((await page.textContent('#old-lost')) ?? '', 10) >= 15, 'the old way has lost events');
      await until(async () => (await page.textContent('#old-sockets')) === '7 sockets', 'the old way is back');
      await page.mouse.move(0, 0);
      for (const colorScheme of SCHEMES) {
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: join(FOLDER, `shop-${colorScheme}.png`), animations: 'disabled' });
      }
      writeFileSync(SHOWN, shown);
    }
    assert.equal(shown, readFileSync(SHOWN, 'utf8'), 'the shop has changed: run `make picture`, look at docs/images, and commit it');
    for (const scheme of SCHEMES) {
      const picture = readFileSync(join(FOLDER, `shop-${scheme}.png`));
      // Width and height stand in the first block of a PNG.
      assert.deepEqual([picture.readUInt32BE(16), picture.readUInt32BE(20)], [SIZE.width, SIZE.height]);
      assert.match(readFileSync(join(REPOSITORY, 'README.md'), 'utf8'), new RegExp(`docs/images/shop-${scheme}\\.png`));
    }
  }));
