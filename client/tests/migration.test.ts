// docs/migration: the code that readers are to write runs as it stands, at a node in the page's memory.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { it } from 'node:test';
import type { Page } from 'playwright-core';
import type { FakeNode } from '../src/testing/node.js';
import { inBrowser, launch } from './browser.js';
import { DIST, REPOSITORY } from './paths.js';
import { until } from './wait.js';

const display = inBrowser();

const text = (page: string): string => readFileSync(join(REPOSITORY, 'docs/migration', `${page}.md`), 'utf8');
const blocks = (page: string, language: string): string[] =>
  [...text(page).matchAll(new RegExp(`\`\`\`${language}[^\n]*\n([^]*?)\`\`\``, 'g'))].map(([, block = '']) => block);
/** The block that is named `file=NAME.js`. */
function file(page: string, name: string): string {
  const [, block] = new RegExp(`\`\`\`js file=${name}\\.js\n([^]*?)\`\`\``).exec(text(page)) ?? [];
  assert.ok(block, `${page} has ${name}.js`);
  return block;
}

/** What the page of a reader has already. */
const SETUP = `
  import { configure } from '@notifier/client';
  import { createFakeNode } from '@notifier/client/testing';
  const node = createFakeNode({ streams: { SHOP: { subjects: ['shop.cart.*'] } } });
  const heard = [];
  const cart = document.querySelector('#badge');
  const render = ({ items }) => (cart.textContent = items);
  Object.assign(globalThis, {
    node, heard, render,
    token: 't', getToken: () => 't', tell: (error) => heard.push(error.code), reload: () => heard.push('reload'),
    fetch: async () => new Response('t'),
  });
  configure({ WebSocket: node.config.WebSocket });
  node.emit('shop.cart.u42', { items: 3 });
`;
declare const node: FakeNode;
declare const heard: unknown[];
declare const changed: (items: number) => void;

async function runs(name: string, code: Record<string, string>, run: (page: Page) => Promise<void>): Promise<void> {
  const files = { './setup.jsx': SETUP, ...Object.fromEntries(Object.entries(code).map(([one, block]) => [`./${one}.jsx`, block])) };
  const source = Object.keys(files).map((one) => `import '${one}';`).join('\n');
  await display(name, { source, files, body: '<main><p id="badge"></p><button id="add">Add</button></main>' }, run);
}
const shows = (page: Page, expected: string): Promise<boolean> =>
  until(async () => (await page.textContent('#badge')) === expected, `the badge shows ${expected}`);
const emit = (page: Page, items: number): Promise<unknown> => page.evaluate((now) => node.emit('shop.cart.u42', { items: now }), items);

void it('CustomEvents: a bridge lets components be, and those that subscribe live beside it', async () => {
  const [before = '', bridge = '', after = ''] = blocks('custom-events', 'js');
  await runs('bridge', { before: `${before}\nglobalThis.changed = changed;`, bridge }, async (page) => {
    await shows(page, '3');
    await emit(page, 4);
    await shows(page, '4');
    await page.evaluate(() => changed(5));
    await shows(page, '5');
    const published = (): Promise<unknown> => page.evaluate(() => node.published.at(-1)?.data);
    await until(async () => JSON.stringify(await published()) === '{"items":5}', 'what the page dispatches is published');
  });
  await runs('subscribed', { after }, async (page) => {
    await shows(page, '3');
    await emit(page, 4);
    await shows(page, '4');
  });
});

void it('a WebSocket per component: what a component and the shell write instead shows what is stored and what comes', () =>
  runs('websocket', { component: file('websocket', 'component'), shell: file('websocket', 'shell') }, async (page) => {
    await shows(page, '3');
    await page.evaluate(() => node.cut());
    await emit(page, 4);
    await shows(page, '4');
  }));

void it('centrifuge-js: what a component and the shell write instead hears events and gaps', () =>
  runs('centrifuge', { component: file('centrifuge', 'component'), shell: file('centrifuge', 'shell') }, async (page) => {
    await until(() => page.evaluate(() => node.subjects.length > 0), 'subscribed');
    await emit(page, 4);
    await shows(page, '4');
    await page.evaluate(() => node.recreate('SHOP'));
    await until(async () => (await page.evaluate(() => heard)).join() === 'reload', 'a gap');
  }));

void it('socket.io: what a component and the shell write instead hears events and is answered', () =>
  runs('socket-io', { component: file('socket-io', 'component'), shell: file('socket-io', 'shell') }, async (page) => {
    await shows(page, '3');
    await page.evaluate(() => node.answer('shop.cart.add', () => ({ items: 9 })));
    await page.click('#add');
    await shows(page, '9');
    await page.evaluate(() => node.refuse('shop.cart.add', 'forbidden'));
    await page.click('#add');
    await until(async () => (await page.evaluate(() => heard)).join() === 'forbidden', 'a refusal');
  }));

void it('single-spa: an application is subscribed while it is mounted', () =>
  runs('single-spa', { application: `${file('micro-frontends', 'application')}\nObject.assign(globalThis, { mount, unmount });` }, async (page) => {
    await page.evaluate(() => (globalThis as unknown as { mount(props: object): void }).mount({ domElement: document.querySelector('#badge') }));
    await shows(page, '3');
    await page.evaluate(() => (globalThis as unknown as { unmount(): void }).unmount());
    await until(() => page.evaluate(() => node.subjects.length === 0), 'no subscription is left');
  }));

void it('import maps: a page loads the library from a node under the policy of the page, which forbids what it does not name', async () => {
  const [html = ''] = blocks('micro-frontends', 'html');
  const policy = /Content-Security-Policy: ([^]*?)```/.exec(text('micro-frontends'))?.[1]?.replace(/\s+/g, ' ').trim() ?? '';
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const here = (one: string): string => one.replaceAll('https://node.example', `http://127.0.0.1:${port}`).replaceAll('wss://node.example', `ws://127.0.0.1:${port}`);
  const page = here(`<!doctype html><html lang="en"><title>map</title>${html}<p id="cart"></p>`);
  const map = /<script type="importmap">([^]*?)<\/script>/.exec(page)?.[1] ?? '';
  const hash = `'sha256-${createHash('sha256').update(map).digest('base64')}'`;
  server.on('request', ({ url }, response) => {
    const [type, body] =
      url === '/cart.js'
        ? ['text/javascript', `${file('micro-frontends', 'cart')}\nimport { inspect } from '@notifier/client';\nglobalThis.inspect = inspect;`]
        : url === '/client/v1/notifier.js'
          ? ['text/javascript', readFileSync(join(DIST, 'notifier.js'), 'utf8')]
          : ['text/html', page];
    response.writeHead(200, { 'content-type': type, 'content-security-policy': here(policy).replace("script-src 'self'", `script-src 'self' ${hash}`) });
    response.end(body);
  });
  const browser = await launch();
  try {
    const shown = await browser.newPage();
    await shown.goto(`http://127.0.0.1:${port}/`);
    const violations = await shown.evaluate(async () => {
      const heardOf: string[] = [];
      document.addEventListener('securitypolicyviolation', ({ violatedDirective }) => heardOf.push(violatedDirective));
      try {
        new WebSocket('ws://127.0.0.2:1');
      } catch {
        // Some browsers throw at once.
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
      return heardOf;
    });
    assert.deepEqual(violations, ['connect-src']);
    const { counters, subscriptions } = await shown.evaluate(() => (globalThis as unknown as { inspect: typeof import('../src/index.js').inspect }).inspect());
    assert.ok(counters.dials > 0);
    assert.deepEqual(subscriptions.map(({ subject }) => subject), ['shop.cart.u42']);
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
});
