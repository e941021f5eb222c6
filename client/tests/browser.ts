// A real Chromium, and pages made of bundles that know nothing of each other.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { build } from 'esbuild';
import { type Browser, chromium } from 'playwright-core';
import { ROOT } from './paths.js';

/** A team's script: imports its own copy of the library, under a version of its own. */
async function bundle(source: string, version: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: ROOT, loader: 'ts' },
    alias: { '@notifier/client': join(ROOT, 'src/index.ts') },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    define: { __VERSION__: JSON.stringify(version), 'process.env.NODE_ENV': '"development"' },
    write: false,
  });
  return outputFiles[0]?.text ?? '';
}

/** Serves pages under a strict policy: no inline script, no connection but to the node. */
export class Site {
  readonly #files = new Map<string, [type: string, text: string]>();

  private constructor(readonly server: Server) {
    server.on('request', ({ url = '/' }, response) => {
      const [type, text] = this.#files.get(url) ?? ['text/html', ''];
      // Not `no-store`, which would keep the page out of the back/forward cache.
      const policy = "default-src 'none'; script-src 'self'; connect-src ws://127.0.0.1:*";
      response.writeHead(200, { 'content-type': type, 'content-security-policy': policy, 'cache-control': 'no-cache' });
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

  /** Adds a page of several scripts and returns its address. */
  async page(name: string, scripts: { source: string; version: string }[], node: string): Promise<string> {
    const tags: string[] = [];
    for (const [index, { source, version }] of scripts.entries()) {
      const file = `/${name}-${index}.js`;
      this.#files.set(file, ['text/javascript', await bundle(source, version)]);
      tags.push(`<script type="module" src="${file}"></script>`);
    }
    const meta = `<meta name="notifier-url" content="${node}">`;
    this.#files.set(`/${name}`, ['text/html', `<!doctype html><title>${name}</title>${meta}${tags.join('')}`]);
    return this.address(name);
  }

  address(name: string): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/${name}`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
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
