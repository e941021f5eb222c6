// What only a browser shows: bundles that share a page, the back/forward cache, sleep, networks that come and go.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import type * as library from '../src/index.js';
import { launch, Site, visit as visitIn } from './browser.js';
import { World } from './real.js';
import { pause, until } from './wait.js';

let world: World;
let site: Site;
let browser: Browser;
before(async () => {
  [world, site, browser] = await Promise.all([World.start(1), Site.start(), launch()]);
});
after(async () => {
  await browser?.close();
  site?.stop();
  await world?.stop();
});

/** Hears `d.NAME` into `heard`, and shows the library to the test. */
const listening = (name: string): string => `
  import * as library from '@notifier/client';
  const heard = [];
  Object.assign(globalThis, { test: { library, heard } });
  library.subscribe('d.${name}', ({ data }) => heard.push(data), { label: '${name}' });
`;

interface Test {
  heard: unknown[];
  library: typeof import('../src/index.js');
}
const heard = (page: Page): Promise<unknown[]> => page.evaluate(() => (globalThis as unknown as { test: Test }).test.heard);
const inspect = (page: Page): Promise<ReturnType<Test['library']['inspect']>> =>
  page.evaluate(() => (globalThis as unknown as { test: Test }).test.library.inspect());
const online = (page: Page): Promise<boolean> =>
  until(async () => {
    const { status, subscriptions } = await inspect(page);
    return status.status === 'online' && subscriptions.every(({ state }) => state === 'live');
  }, 'online');

const visit = (run: (page: Page) => Promise<void>, address: string): Promise<void> => visitIn(browser, address, run);

void it('two bundles of two versions share one WebSocket, under a strict policy, with nothing on `window` but a symbol', async () => {
  const team = (name: string): string => `
    import { subscribe, inspect } from '@notifier/client';
    const seen = document.body.appendChild(document.createElement('p'));
    seen.id = '${name}';
    subscribe('d.shared', ({ data }) => (seen.textContent += data));
    setInterval(() => (seen.title = JSON.stringify(inspect())), 20);
  `;
  const scripts = [
    { source: team('cart'), version: '1.0.0' },
    { source: team('badge'), version: '1.3.0' },
  ];
  const sockets: string[] = [];
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on('websocket', (socket) => sockets.push(socket.url()));
  await page.goto(await site.page('shared', scripts, world.url));
  type Told = Awaited<ReturnType<typeof inspect>>;
  const told = await until(async () => {
    const title = await page.getAttribute('#cart', 'title');
    const now = title ? (JSON.parse(title) as Told) : undefined;
    return now?.subscriptions[0]?.state === 'live' && now;
  }, 'live') as Told;
  await world.publish('d.shared', 'a', 'shared-1');
  for (const name of ['cart', 'badge']) await until(async () => (await page.textContent(`#${name}`)) === 'a', name);
  assert.deepEqual(sockets, [world.url]);
  assert.deepEqual([told.version, told.copies, told.subscriptions.length, told.subscriptions[0]?.handlers], ['1.3.0', ['1.0.0', '1.3.0'], 1, 2]);
  const symbols = await page.evaluate(() => Object.getOwnPropertySymbols(globalThis).map(String));
  assert.deepEqual(symbols.filter((name) => name.includes('notifier')), ['Symbol(notifier.client.v1)']);
  assert.deepEqual(await page.evaluate(() => Object.keys(globalThis).filter((name) => /notifier/i.test(name))), []);
  await context.close();
});

void it('a page in the back/forward cache is closed at the node, and goes on from its cursor when it is shown again', async () => {
  const address = await site.page('cached', [{ source: listening('cached'), version: '1.0.0' }], world.url);
  await visit(async (page) => {
    await online(page);
    await page.evaluate(() => addEventListener('pageshow', (event) => (document.title = String(event.persisted))));
    await world.publish('d.cached', 1, 'cached-1');
    await until(async () => (await heard(page)).length === 1, 'the first event');
    const count = await world.nodes[0]?.connections();
    await page.goto(site.address('elsewhere'));
    await until(async () => (await world.nodes[0]?.connections()) === (count ?? 0) - 1, 'the node counts one less', 1_000);
    for (const number of [2, 3]) await world.publish('d.cached', number, `cached-${number}`);
    // There is no `load` when a page comes out of the cache.
    await page.goBack({ waitUntil: 'commit' });
    await until(async () => (await page.title()) === 'true', 'the page comes from the cache');
    await until(async () => (await heard(page)).length === 3, 'what was missed');
    await world.publish('d.cached', 4, 'cached-4');
    await until(async () => (await heard(page)).length === 4, 'what comes next');
    assert.deepEqual(await heard(page), [1, 2, 3, 4]);
    assert.equal((await inspect(page)).counters.dials, 2);
  }, address);
});

void it('a page without a network says so, and is back when the network is', async () => {
  const address = await site.page('network', [{ source: listening('network'), version: '1.0.0' }], world.url);
  await visit(async (page) => {
    await online(page);
    await pause(1_100);
    await page.context().setOffline(true);
    // The browser lets an open socket live on; the network does not.
    for (const socket of world.sockets) socket.destroy();
    await until(async () => (await inspect(page)).status.status === 'offline', 'offline');
    await world.publish('d.network', 1, 'network-1');
    await pause(1_500);
    const began = Date.now();
    await page.context().setOffline(false);
    await until(async () => (await heard(page)).length === 1, 'what was missed', 3_000);
    assert.ok(Date.now() - began < 2_000);
    await online(page);
  }, address);
});

void it('a connection that died without a word is replaced within 3 s of the page being visible', async () => {
  const address = await site.page('zombie', [{ source: listening('zombie'), version: '1.0.0' }], world.url);
  await visit(async (page) => {
    await online(page);
    await pause(1_100);
    for (const socket of world.sockets) world.silent.add(socket);
    await world.publish('d.zombie', 1, 'zombie-1');
    const began = Date.now();
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await until(async () => (await heard(page)).length === 1, 'what was missed');
    const took = Date.now() - began;
    assert.ok(took < 3_000, `${took} ms`);
    assert.equal((await inspect(page)).counters.dials, 2);
  }, address);
});

void it('a connection that is well is kept when the page becomes visible', async () => {
  const address = await site.page('well', [{ source: listening('well'), version: '1.0.0' }], world.url);
  await visit(async (page) => {
    await online(page);
    for (const name of ['visibilitychange', 'resume']) {
      await page.evaluate((event) => document.dispatchEvent(new Event(event)), name);
    }
    for (const name of ['online', 'offline', 'pageshow']) {
      await page.evaluate((event) => globalThis.dispatchEvent(new Event(event)), name);
    }
    await pause(3_000);
    assert.deepEqual([(await inspect(page)).counters.dials, (await inspect(page)).status.status], [1, 'online']);
  }, address);
});

void it('a frozen page whose connection was cut hears what it missed when it goes on', async () => {
  const address = await site.page('frozen', [{ source: listening('frozen'), version: '1.0.0' }], world.url);
  await visit(async (page) => {
    await online(page);
    const session = await page.context().newCDPSession(page);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    for (const socket of world.sockets) socket.destroy();
    for (let number = 1; number <= 50; number++) await world.publish('d.frozen', number, `frozen-${number}`);
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    await until(async () => (await heard(page)).length === 50, 'what was missed', 3_000);
    assert.deepEqual(await heard(page), Array.from({ length: 50 }, (_, i) => i + 1));
  }, address);
});

void it('bundles without the library load that of the node, once, and try again when it does not come', async () => {
  const team = (name: string): string => `
    import { subscribe } from '@notifier/client/lite';
    const heard = [];
    Object.assign(globalThis, { ${name}: heard });
    subscribe('d.lite', ({ data }) => heard.push(data));
  `;
  const shell = `
    import { configure, library } from '@notifier/client/lite';
    configure({ url: document.querySelector('link').href.replace('http', 'ws') });
    Object.assign(globalThis, { library });
  `;
  const scripts = [team('cart'), team('badge'), shell].map((source) => ({ source, version: '1.0.0' }));
  const origin = new URL(world.url.replace('ws', 'http')).origin;
  // The address of the node stands in no `meta`: the shell says it, after the others have subscribed.
  const address = await site.page('lite', scripts, '', `<link rel="node" href="${origin}/v1/ws">`, origin);
  const context = await browser.newContext();
  const page = await context.newPage();
  const asked: string[] = [];
  await page.route('**/client/v1/notifier.js*', (route) => (asked.push(route.request().url()) > 1 ? route.continue() : route.abort()));
  await page.goto(address);
  const told = (): Promise<ReturnType<typeof library.inspect>> =>
    page.evaluate(async () => (await (globalThis as unknown as { library: () => Promise<typeof library> }).library()).inspect());
  await until(() => asked.length === 2, 'asked again', 3_000);
  await until(async () => (await told()).subscriptions[0]?.state === 'live', 'live');
  await world.publish('d.lite', 1, 'lite-1');
  const heard = (): Promise<unknown> => page.evaluate(() => {
    const { cart, badge } = globalThis as unknown as Record<string, unknown>;
    return [cart, badge];
  });
  await until(async () => JSON.stringify(await heard()) === '[[1],[1]]', 'both hear it');
  const { copies, subscriptions, counters } = await told();
  assert.deepEqual([copies.length, subscriptions.length, subscriptions[0]?.handlers, counters.dials], [1, 1, 2, 1]);
  assert.equal(new Set(asked).size, 2);
  await context.close();
});

void it('a page that is loaded again shows what it showed before it is connected', async () => {
  const source = `
    import * as library from '@notifier/client';
    import { remember } from '@notifier/client/remember';
    const heard = [];
    Object.assign(globalThis, { test: { library, heard } });
    remember({ user: 'u42' }).live('d.remembered').subscribe(({ value, state }) => heard.push(value + ' ' + state));
  `;
  const address = await site.page('remembered', [{ source, version: '1.0.0' }], world.url);
  await visit(async (page) => {
    await online(page);
    await world.publish('d.remembered', 1, 'remembered-1');
    await until(async () => (await heard(page)).at(-1) === '1 live', 'the first value');
    await page.goto(site.address('elsewhere'));
    await world.publish('d.remembered', 2, 'remembered-2');
    await page.goto(`${address}?again`);
    await until(async () => (await heard(page)).at(-1) === '2 live', 'the second value');
    assert.equal((await heard(page))[0], '1 loading');
    assert.ok((await heard(page)).every((shown) => !String(shown).includes('undefined')));
  }, address);
});

void it('components that a framework mounts twice are one subscription', async () => {
  const address = await site.page('strict', [{ source: listening('strict'), version: '1.0.0' }], world.url);
  await visit(async (page) => {
    await online(page);
    const left = await page.evaluate(async () => {
      const { library } = (globalThis as unknown as { test: Test }).test;
      for (let i = 0; i < 1_000; i++) {
        // Mounted, unmounted and mounted again within one task, as StrictMode does.
        library.subscribe('d.strict', () => {}).unsubscribe();
        const store = library.live('d.strict');
        store.subscribe(() => {})();
        store.subscribe(() => {})();
      }
      await new Promise((resolve) => setTimeout(resolve, 400));
      return library.inspect();
    });
    assert.deepEqual([left.subscriptions.length, left.subscriptions[0]?.handlers, left.counters.dials], [1, 1, 1]);
  }, address);
});
