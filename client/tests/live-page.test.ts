// The page that a node shows (demo/live.html), in Chromium, with the library of that node.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { launch, visit } from './browser.js';
import { World } from './real.js';
import { until } from './wait.js';

let world: World;
let browser: Browser;
before(async () => {
  [world, browser] = await Promise.all([World.start(1), launch()]);
});
after(async () => {
  await browser?.close();
  await world?.stop();
});

void it('the live page shows each event once, publishes, and goes on from where a connection broke', async () => {
  await world.publish('p.shown', 'before', 'shown-0');
  const address = `${world.url.replace('ws', 'http').replace('/v1/ws', '/')}#d.shown.%3E,d.shown.a,p.shown`;
  await visit(browser, address, async (page) => {
    const rows = (): Promise<string[]> => page.locator('#rows summary').allTextContents();
    const chips = (): Promise<string[]> => page.locator('#chips li:not(.pending) small').allTextContents();
    await until(async () => (await chips()).join() === 'durable,durable,latest', 'three live subscriptions');
    assert.deepEqual(await rows(), ['"before"']);
    assert.match((await page.locator('#footer').textContent()) ?? '', /node .* connection .* anonymous .* library /);
    await page.fill('#subject', 'd.shown.a');
    await page.fill('#data', 'no JSON');
    await page.locator('#publish button').click();
    await until(async () => ((await page.locator('#answer').textContent()) ?? '').startsWith('Published on d.shown.a'), 'published');
    await until(async () => (await rows()).join() === 'no JSON,"before"', 'shown once, though two patterns match');
    for (const socket of world.sockets) socket.destroy();
    await world.publish('d.shown.b', 2, 'shown-2');
    await until(async () => (await rows()).join() === '2,no JSON,"before"', 'what was missed');
    await until(async () => (await chips()).length === 3, 'all are live again');
    assert.equal(await page.locator('#notice').isVisible(), false);
    await page.fill('#pattern', 'two..dots');
    await page.locator('#subscribe button').click();
    await until(async () => /two\.\.dots is not subscribed: .*\(bad_subject\)/.test((await page.locator('#notice p').textContent()) ?? ''), 'a refusal');
    assert.equal(await page.locator('#chips li').count(), 3);
    assert.ok(!(await page.evaluate(() => location.hash)).includes('dots'));
    await page.locator('#chips button').first().click();
    await until(async () => (await page.locator('#chips li').count()) === 2, 'one subscription less');
  });
});
