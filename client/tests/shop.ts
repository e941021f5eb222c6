// `notifier dev` with its sample shop, in a real Chromium.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { launch } from './browser.js';
import { freePort, NOTIFIER, Program } from './real.js';
import { until } from './wait.js';

export interface Shop {
  page: Page;
  /** Addresses of the WebSockets that were opened. */
  sockets: string[];
  /** Of the node, with a slash at its end. */
  address: string;
}

export const WIDE = { width: 1280, height: 720 };

/** `notifier dev`, alone, on its embedded broker. */
function dev(port: number, internal: number): Program {
  const args = ['dev', '--listen', `127.0.0.1:${port}`, '--internal-listen', `127.0.0.1:${internal}`];
  return new Program(NOTIFIER, args, async () => (await fetch(`http://127.0.0.1:${internal}/readyz`)).ok);
}

/** For a file of tests: a node and a browser that end with them. Opens the shop, and looks for faults in its console. */
export function inShop(program = dev, query = ''): (run: (shop: Shop) => Promise<void>) => Promise<void> {
  let node: Program;
  let address: string;
  let browser: Browser;
  before(async () => {
    const [port, internal] = [await freePort(), await freePort()];
    address = `http://127.0.0.1:${port}/`;
    node = program(port, internal);
    [browser] = await Promise.all([launch(), node.start()]);
  });
  after(async () => {
    await browser?.close();
    await node?.end('SIGTERM');
  });
  return async (run) => {
    const context = await browser.newContext({ viewport: WIDE });
    const page = await context.newPage();
    const faults: string[] = [];
    const sockets: string[] = [];
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('websocket', (socket) => sockets.push(socket.url()));
    try {
      await page.goto(address + query);
      await until(async () => (await page.textContent('#sockets')) === '1 socket', 'connected');
      await run({ page, sockets, address });
      // What the browser itself says of a WebSocket that was refused is no fault of the page.
      assert.deepEqual(faults.filter((text) => !text.includes('WebSocket connection to')), []);
    } finally {
      await context.close();
    }
  };
}

const PLACES = 3;
export const carts = (page: Page): Promise<string[]> => page.locator('[data-cart]').allTextContents();
export const cartsAre = (page: Page, expected: number): Promise<boolean> =>
  until(async () => (await carts(page)).join() === Array(PLACES).fill(expected).join(), `${expected} in all carts`);

/** The sentence that follows a button which breaks something. */
export const outcome = (page: Page): Promise<string> =>
  until(async () => {
    const text = (await page.textContent('#result')) ?? '';
    return text.endsWith('…') ? undefined : text;
  }, 'the fault is over', 25_000);

export async function breakIt(page: Page, name: string): Promise<string> {
  await page.locator(`[data-break=${name}]`).click();
  return outcome(page);
}
