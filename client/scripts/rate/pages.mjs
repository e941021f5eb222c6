// Pages that count what they hear and tell the result themselves: a debugger would cost more than half of the rate.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { build } from 'esbuild';
import { SUBJECT } from './servers.mjs';

const ROOT = new URL('../../', import.meta.url).pathname;
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const CENTRIFUGE = 'centrifuge@5.8.0';

/** Counts, and tells the server: `ready` once it is subscribed, `heard` per event, `message` per message. */
const counting = (events) => `
  let count = 0, messages = 0, first = 0;
  const post = (path, body) => fetch(path, { method: 'POST', body: JSON.stringify(body) });
  const ready = () => post('/ready', {});
  const message = () => void messages++;
  const heard = () => {
    if (!count++) first = performance.now();
    if (count === ${events}) post('/result', { ms: performance.now() - first, messages });
  };
  const node = new URLSearchParams(location.search).get('node');
`;

const SOURCES = {
  bare: `
    const socket = new WebSocket(node, 'notifier.v1.json');
    socket.onopen = () => socket.send('{"id":1,"connect":{}}\\n{"id":2,"subscribe":{"subject":"${SUBJECT}"}}');
    socket.onmessage = ({ data }) => {
      message();
      for (const line of data.split('\\n')) {
        if (!line) continue;
        const frame = JSON.parse(line);
        if (frame.event) heard(frame.event);
        else if (frame.subscribed) ready();
      }
    };`,
  library: `
    import { createClient } from './notifier.js';
    class Counted extends WebSocket {
      set onmessage(run) { super.onmessage = (event) => (message(), run(event)); }
    }
    createClient({ url: node, WebSocket: Counted }).subscribe('${SUBJECT}', heard).ready.then(ready);`,
  centrifuge: `
    import { Centrifuge } from './centrifuge.js';
    class Counted extends WebSocket {
      set onmessage(run) { super.onmessage = (event) => (message(), run(event)); }
    }
    const client = new Centrifuge(node, { websocket: Counted });
    const subscription = client.newSubscription('${SUBJECT}');
    subscription.on('publication', heard).on('subscribed', ready);
    subscription.subscribe();
    client.connect();`,
};

/** The client of Centrifugo, installed beside the build and nowhere else. */
async function centrifuge() {
  const folder = join(ROOT, '.build/rate');
  mkdirSync(folder, { recursive: true });
  execFileSync('npm', ['install', '--prefix', folder, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', CENTRIFUGE]);
  const stdin = { contents: "export { Centrifuge } from 'centrifuge';", resolveDir: folder };
  const { outputFiles } = await build({ stdin, bundle: true, minify: true, format: 'esm', write: false });
  return outputFiles[0].text;
}

export class Pages {
  #told = { ready() {}, result() {} };

  static async start(folder, events, ends) {
    const pages = new Pages();
    pages.folder = folder;
    const server = createServer(async (request, response) => {
      const path = new URL(request.url, 'http://page').pathname;
      if (request.method === 'POST') {
        let body = '';
        for await (const part of request) body += part;
        pages.#told[path.slice(1)]?.(JSON.parse(body));
        return response.writeHead(204).end();
      }
      const name = /^\/(\w+)\.html$/.exec(path)?.[1];
      if (name) return response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html><script type="module" src="/${name}.page.js"></script>`);
      const script = /^\/(\w+)\.page\.js$/.exec(path)?.[1];
      const text = script ? counting(events) + SOURCES[script] : await pages.#file(path);
      response.writeHead(text === undefined ? 404 : 200, { 'content-type': 'text/javascript' }).end(text);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    ends.push(() => {
      server.closeAllConnections();
      server.close();
    });
    pages.address = `http://127.0.0.1:${server.address().port}`;
    return pages;
  }

  async #file(path) {
    if (path === '/centrifuge.js') return (this.centrifuge ??= await centrifuge());
    return path === '/notifier.js' ? readFileSync(join(ROOT, 'dist/notifier.js'), 'utf8') : undefined;
  }

  /** Opens a page in a browser of its own; resolves when it has subscribed. */
  async open(name, node) {
    const ready = new Promise((resolve) => (this.#told.ready = resolve));
    const result = new Promise((resolve) => (this.#told.result = resolve));
    if (name === 'centrifuge') await this.#file('/centrifuge.js');
    const profile = mkdtempSync(join(this.folder, 'profile-'));
    const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync'];
    const url = `${this.address}/${name}.html?node=${encodeURIComponent(node)}`;
    const browser = spawn(CHROMIUM, [...flags, `--user-data-dir=${profile}`, url], { stdio: 'ignore' });
    const within = (promise, ms, what) => {
      let timer;
      const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`${name}: ${what}`)), ms)));
      return Promise.race([promise, late]).finally(() => clearTimeout(timer));
    };
    const close = () => void browser.kill('SIGKILL');
    try {
      await within(ready, 30_000, 'the page does not subscribe');
    } catch (error) {
      close();
      throw error;
    }
    return { result: (ms) => within(result, ms, 'events were lost').catch((error) => (close(), Promise.reject(error))), close };
  }
}
