// A real Chromium, and pages made of bundles that know nothing of each other.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { build } from 'esbuild';
import { type Browser, chromium, type Page } from 'playwright-core';
import { compiled, type Files } from './frameworks.js';
import { DIST, ROOT } from './paths.js';

/** What a page imports, from its source. */
const ENTRIES = [
  ['', 'index.ts'],
  ['/bridge', 'bridge.ts'],
  ['/elements', 'elements/index.ts'],
  ['/inspector', 'inspector.ts'],
  ['/lit', 'lit.ts'],
  ['/lite', 'lite.ts'],
  ['/react', 'react.ts'],
  ['/remember', 'remember.ts'],
  ['/svelte', 'svelte.ts'],
  ['/testing', 'testing/index.ts'],
  ['/vue', 'vue.ts'],
] as const;

const OPTIONS = { bundle: true, minify: true, format: 'esm', target: 'es2022' } as const;

export interface Script {
  source: string;
  version: string;
  files?: Files;
}

/** A team's script: imports its own copy of the library, under a version of its own. */
async function bundle({ source, version, files = {} }: Script): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: ROOT, loader: 'ts' },
    alias: Object.fromEntries(ENTRIES.map(([name, file]) => [`@notifier/client${name}`, join(ROOT, 'src', file)])),
    ...OPTIONS,
    jsx: 'automatic',
    plugins: [compiled(files, ROOT)],
    define: {
      __VERSION__: JSON.stringify(version),
      'process.env.NODE_ENV': '"development"',
      __VUE_OPTIONS_API__: 'false',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    },
    write: false,
  });
  return outputFiles[0]?.text ?? '';
}

/** Serves pages under a strict policy: no inline script, no connection but to the node. */
export class Site {
  readonly #files = new Map<string, [type: string, text: string, scripts?: string]>();

  private constructor(readonly server: Server) {
    server.on('request', ({ url = '/' }, response) => {
      const [path = ''] = url.split('?');
      const [type, text, scripts = ''] = this.#files.get(path) ?? ['text/html', ''];
      // Not `no-store`, which would keep the page out of the back/forward cache.
      const policy = `default-src 'none'; script-src 'self' ${scripts}; connect-src ws://127.0.0.1:* http://127.0.0.1:*`;
      response.writeHead(path.endsWith('.js') && !text ? 404 : 200, { 'content-type': type, 'content-security-policy': policy, 'cache-control': 'no-cache' });
      response.end(text);
    });
  }

  static async start(): Promise<Site> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const site = new Site(server);
    site.#files.set('/elsewhere', ['text/html', '<!doctype html><title>elsewhere</title>']);
    return site;
  }

  /** Adds a page of several scripts, which may also load those of `origin`, and returns its address. */
  async page(name: string, scripts: Script[], node: string, body = '', origin = ''): Promise<string> {
    const tags: string[] = [];
    for (const [index, script] of scripts.entries()) {
      const file = `/${name}-${index}.js`;
      this.#files.set(file, ['text/javascript', await bundle(script)]);
      tags.push(`<script type="module" src="${file}"></script>`);
    }
    const meta = `<meta name="notifier-url" content="${node}">`;
    this.#files.set(`/${name}`, ['text/html', `<!doctype html><html lang="en"><title>${name}</title>${meta}${tags.join('')}${body}`, origin]);
    return this.address(name);
  }

  /** Adds a script of the library, as it is served by whoever serves the page. */
  async script(name: string, entry: string): Promise<void> {
    const entryPoints = [join(ROOT, 'src', entry)];
    const { outputFiles } = await build({ ...OPTIONS, entryPoints, define: { __VERSION__: '"1.0.0"' }, write: false });
    this.#files.set(`/${name}`, ['text/javascript', outputFiles[0]?.text ?? '']);
  }

  /** Adds a file of `dist` under its own name. */
  built(file: string): void {
    this.#files.set(`/dist/${file}`, ['text/javascript', readFileSync(join(DIST, file), 'utf8')]);
  }

  address(name: string): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/${name}`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** Opens a page and looks for faults in its console until it is closed. */
export async function visit(browser: Browser, address: string, run: (page: Page) => Promise<void>): Promise<void> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(String(error)));
  try {
    await page.goto(address);
    await run(page);
    // What the browser itself says of a connection that could not be made is no fault of the page.
    assert.deepEqual(faults.filter((text) => !text.includes('WebSocket connection to')), []);
  } finally {
    await context.close();
  }
}

export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Playwright switches the back/forward cache off otherwise.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-sync',
      // For tests that look at the heap.
      '--js-flags=--expose-gc',
      '--enable-precise-memory-info',
    ],
  });

/**
 * For a file of tests: a site and a browser that end with them. Shows a page of one script, whose node is in its own memory.
 */
export function inBrowser(): (
  name: string,
  page: { source: string; files?: Files; body?: string },
  run: (page: Page) => Promise<void>,
) => Promise<void> {
  let site: Site;
  let browser: Browser;
  before(async () => {
    [site, browser] = await Promise.all([Site.start(), launch()]);
  });
  after(async () => {
    await browser?.close();
    site?.stop();
  });
  return async (name, { source, files, body }, run) => {
    const address = await site.page(name, [{ source, version: '1.0.0', ...(files && { files }) }], 'ws://127.0.0.1:1', body);
    await visit(browser, address, run);
  };
}
