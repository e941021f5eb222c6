// A plain `EventSource` in a real Chromium, as docs/without-websocket.md shows it, before real nodes: it lives on by itself
// whatever happens, but for a token that does not hold, of which it is told.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { launch } from './browser.js';
import { REPOSITORY } from './paths.js';
import { freePort, NOTIFIER, RealNode, World } from './real.js';
import { until } from './wait.js';

const SHOP = `
[[streams]]
name = "SHOP"
subjects = ["shop.>"]
[[subjects]]
pattern = "shop.>"
delivery = "durable"
stream = "SHOP"
`;
const CONNECTIONS = 6;
/** A browser comes back after 1 to 10 s, as the node tells it. */
const BACK_MS = 25_000;

const [, snippet = ''] = /## EventSource\n\n```js\n([^]*?)```/.exec(readFileSync(join(REPOSITORY, 'docs/without-websocket.md'), 'utf8')) ?? [];

let browser: Browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

interface Source {
  page: Page;
  /** The data of all events that it has logged. */
  heard: () => Promise<unknown[]>;
  /** 0: comes back, 1: open, 2: has given up. */
  state: () => Promise<number>;
  /** The frames of all messages that are about the stream itself. */
  told: () => Promise<{ error?: { code: string }; goaway?: { reason: string }; ping?: { broker: string } }[]>;
}

/** Runs the page's script as it is printed, on a page of the node's own origin. */
async function listening(origin: string, run: (source: Source) => Promise<void>, prepare?: (page: Page) => Promise<void>): Promise<void> {
  // No page of a node lets a script run, but any of them is of its origin.
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  const logged: Promise<unknown>[] = [];
  page.on('console', (message) => {
    if (message.type() === 'log') logged.push(message.args()[0]?.jsonValue() ?? Promise.resolve());
  });
  try {
    await page.goto(`${origin}/nowhere`);
    await prepare?.(page);
    const more = `
      globalThis.told = [];
      globalThis.source = source;
      for (const name of ['error', 'goaway', 'ping']) {
        // A browser's own errors have no data.
        source.addEventListener(name, ({ data }) => data && told.push({ [name]: JSON.parse(data) }));
      }
    `;
    await page.addScriptTag({ content: snippet + more });
    await run({
      page,
      heard: async () => (await Promise.all(logged)).map((event) => (event as { data: unknown }).data),
      state: () => page.evaluate(() => (globalThis as unknown as { source: EventSource }).source.readyState),
      told: () => page.evaluate(() => (globalThis as unknown as { told: [] }).told),
    });
  } finally {
    await context.close();
  }
}

const originOf = (url: string): string => url.replace('ws:', 'http:').replace('/v1/ws', '');
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
const SUBJECT = 'shop.cart.u42';

async function inWorld(nodes: number, more: string, run: (world: World) => Promise<void>): Promise<void> {
  const world = await World.start(nodes, SHOP + more);
  try {
    await run(world);
  } finally {
    await world.stop();
  }
}

void it('an EventSource goes on over a drain of its node, by another one behind its address', () =>
  inWorld(2, '', (world) =>
    listening(originOf(world.url), async ({ heard, state }) => {
      let sent = 0;
      const publish = (): Promise<void> => world.publish(SUBJECT, ++sent, `event-${sent}`);
      await publish();
      await until(async () => (await heard()).length === 1, 'the newest one first');
      let leaving = true;
      const publishing = (async () => {
        while (leaving) await publish();
      })();
      // The one that it is on, whichever that is, and the other one.
      for (const node of world.nodes) {
        await node.end('SIGTERM');
        await node.start();
      }
      leaving = false;
      await publishing;
      await publish();
      await until(async () => (await heard()).at(-1) === sent, 'all', BACK_MS);
      assert.deepEqual(await heard(), numbers(sent));
      assert.equal(await state(), 1);
    }),
  ));

void it('an EventSource that a full node turns away comes back by itself once there is room', () =>
  inWorld(1, `[limits]\nconnections = ${CONNECTIONS}\n`, async (world) => {
    const [node] = world.nodes;
    await world.publish(SUBJECT, 1, 'full-1');
    const others = new AbortController();
    // Kept, since what nobody refers to is closed.
    const held: Response[] = [];
    const fill = async (): Promise<void> => {
      while (held.filter(({ ok }) => !ok).length < 3) {
        // The page's own, which an EventSource would use.
        for (const socket of world.sockets) socket.destroy();
        held.push(await fetch(`http://127.0.0.1:${node?.port}/v1/events?subject=shop.other`, { signal: others.signal }));
      }
    };
    await listening(originOf(world.url), async ({ heard, state, told }) => {
      await until(async () => (await told())[0]?.error, 'it is told');
      assert.equal((await told())[0]?.error?.code, 'connection_limit');
      assert.equal(await state(), 0);
      assert.ok(held.length > 1);
      others.abort();
      await until(async () => (await heard()).length, 'it is back', BACK_MS);
      await world.publish(SUBJECT, 2, 'full-2');
      await until(async () => (assert.deepEqual([await heard(), await state()], [[1, 2], 1]), true), 'the next one');
      assert.deepEqual([await heard(), await state()], [[1, 2], 1]);
    }, fill);
  }));

void it('an EventSource that comes back while NATS is away waits, and hears what was stored before and after', () =>
  inWorld(1, '', (world) =>
    listening(originOf(world.url), async ({ heard, state, told }) => {
      await world.publish(SUBJECT, 1, 'away-1');
      await until(async () => (await heard()).length === 1, 'the first one');
      await world.nats.end('SIGKILL');
      for (const socket of world.sockets) socket.destroy();
      await until(async () => (await state()) === 1, 'it is back', BACK_MS);
      await until(async () => (await told()).some(({ ping }) => ping?.broker === 'down'), 'it is told', BACK_MS);
      await world.nats.start();
      await world.publish(SUBJECT, 2, 'away-2');
      await until(async () => (await heard()).length >= 2, 'the next one', BACK_MS);
      assert.deepEqual([await heard(), await state()], [[1, 2], 1]);
    }),
  ));

/** A node that takes tokens from a cookie, and how to make one. */
async function withTokens(run: (node: RealNode, token: (expires: string) => string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'notifier-token-'));
  const config = join(folder, 'notifier.toml');
  const [port, internal] = [await freePort(), await freePort()];
  const node = new RealNode(config, port, internal);
  writeFileSync(join(folder, 'secret'), 'a secret of more than thirty-two bytes');
  writeFileSync(
    config,
    `[broker]
kind = "memory"
[server]
allowed_origins = ["http://127.0.0.1:${port}"]
[auth]
mode = "jwt"
cookie = "session"
leeway = "0s"
[[auth.issuers]]
issuer = "me"
audience = "notifier"
algorithms = ["HS256"]
secret_file = "${join(folder, 'secret')}"
[[grants]]
role = "customer"
subscribe = ["shop.cart.{sub}"]
publish = ["shop.cart.{sub}"]
${SHOP}`,
  );
  try {
    await node.start();
    const claims = ['--sub', 'u42', '--role', 'customer'];
    await run(node, (expires) => execFileSync(NOTIFIER, ['token', '--config', config, ...claims, '--expires', expires], { encoding: 'utf8' }).trim());
  } finally {
    await node.end('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

void it('an EventSource is told that its token has ended, goes on with another one, and stops where there is none', () =>
  withTokens(async (node, token) => {
    const origin = originOf(node.url);
    const publish = async (data: number): Promise<void> => {
      const headers = { authorization: `Bearer ${token('1m')}`, 'content-type': 'application/json' };
      assert.ok((await fetch(`${origin}/v1/publish/${SUBJECT}`, { method: 'POST', headers, body: String(data) })).ok);
    };
    const sign = (page: Page, expires: string): Promise<void> => page.context().addCookies([{ name: 'session', value: token(expires), url: origin }]);
    await listening(
      origin,
      async ({ page, heard, state, told }) => {
        await until(async () => (await state()) === 1, 'open');
        const ends = async (): Promise<number> => (await told()).filter(({ goaway }) => goaway?.reason === 'token_expired').length;
        // A page that is signed in anew brings the next one. It has to outlast the end of the first, and the way back.
        await sign(page, '11s');
        await until(async () => (await ends()) === 1, 'it is told', BACK_MS);
        await publish(1);
        await until(async () => (await heard()).length === 1, 'it goes on', BACK_MS);
        await until(async () => (await ends()) === 2, 'it is told again', BACK_MS);
        await until(async () => (await state()) === 2, 'it stops', BACK_MS);
        assert.deepEqual(await heard(), [1]);
      },
      (page) => sign(page, '5s'),
    );
  }));
