// The sample shop of `make demo-nats`: a real nats-server, and two nodes behind one address.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { REPOSITORY } from './paths.js';
import { NOTIFIER, Program } from './real.js';
import { breakIt, cartsAre, inShop } from './shop.js';

const twoNodes = (port: number): Program => {
  const args = [join(REPOSITORY, 'scripts/demo-nats.py'), process.env.NATS_SERVER ?? 'nats-server', NOTIFIER, '--port', String(port)];
  const hasGoods = async (): Promise<boolean> => (await fetch(`http://127.0.0.1:${port}/v1/last/shop.stock.mug`)).ok;
  return new Program('python3', args, hasGoods);
};
const shop = inShop(twoNodes, '?nodes');

void it('the shop goes on at another node when the one that it is on is killed, and loses nothing', () =>
  shop(async ({ page, sockets }) => {
    await page.getByRole('button', { name: 'Add a mug to cart' }).click();
    await cartsAre(page, 1);
    assert.equal(sockets.length, 1);
    const told = await breakIt(page, 'kill');
    assert.match(told, /(anna is dead, and the page is on bert|bert is dead, and the page is on anna)\. Back \d+ ms after the cut\./);
    assert.match(told, /Lost: 0\. The cart is 1 in all 3 places\.$/);
    await page.getByRole('button', { name: 'Add a mug to cart' }).click();
    await cartsAre(page, 2);
  }));

void it('a value that a service deletes is gone from all components of the shop', () =>
  shop(async ({ page }) => {
    assert.match(await breakIt(page, 'delete'), /^A service deleted shop\.stock\.chair\. All 2 components that show it say that it is gone \(deleted\)\./);
    assert.deepEqual(await page.locator('[data-stock=chair]').allTextContents(), ['gone', 'gone']);
  }));
