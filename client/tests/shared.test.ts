// Several copies of the library on one page: each is a bundle of its own here, as each team's is.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { build } from 'esbuild';
import { isNewer } from '../src/shared.js';
import { ROOT } from './paths.js';

void it('versions are compared by their numbers', () => {
  const rows: [string, string, boolean][] = [
    ['1.2.0', '1.10.0', false],
    ['1.10.0', '1.2.0', true],
    ['2.0.0', '1.99.99', true],
    ['1.0.1', '1.0.0', true],
    ['1.0.0', '1.0.0', false],
    ['1.0.0-alpha.1', '1.0.0', false],
  ];
  for (const [a, b, expected] of rows) assert.equal(isNewer(a, b), expected, `${a} ${b}`);
});

void it('five bundles of four versions are one kernel, that of the newest version', async () => {
  const folder = mkdtempSync(join(ROOT, '.build/copies-'));
  try {
    const versions = ['1.0.0', '1.2.0', '1.1.0', '1.0.3', '1.2.0'];
    for (const [index, version] of versions.entries()) {
      await build({
        entryPoints: [join(ROOT, 'src/index.ts')],
        outfile: join(folder, `${index}.mjs`),
        bundle: true,
        format: 'esm',
        define: { __VERSION__: JSON.stringify(version) },
      });
    }
    // A page that is being parsed: its scripts run one after the other, and then `DOMContentLoaded` comes.
    const script = `
      const page = new EventTarget();
      globalThis.document = Object.assign(new EventTarget(), { readyState: 'loading', visibilityState: 'visible', querySelector: () => null });
      globalThis.addEventListener = page.addEventListener.bind(page);
      const seen = [];
      const opened = [];
      globalThis.WebSocket = class {
        constructor(url) { opened.push(url); this.frames = []; setTimeout(() => this.onopen(), 1); }
        send(text) {
          for (const line of text.split('\\n')) seen.push(Object.keys(JSON.parse(line))[1]);
          // After what else the same task may send.
          setTimeout(() => globalThis.sent());
        }
        close() {}
      };
      const copies = [];
      for (let i = 0; i < 5; i++) {
        const copy = await import(process.argv[1] + '/' + i + '.mjs');
        copies.push(copy);
        copy.subscribe('shop.' + i % 3, () => {});
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      copies[4].configure({ url: 'ws://node.example/v1/ws' });
      if (opened.length) throw new Error('connected before the page was parsed');
      document.readyState = 'interactive';
      const sent = new Promise((resolve) => (globalThis.sent = resolve));
      page.dispatchEvent(new Event('DOMContentLoaded'));
      await sent;
      const { version, copies: all, subscriptions } = copies[0].inspect();
      console.log(JSON.stringify({ opened, seen, version: globalThis[Symbol.for('notifier.client.v1')].kernel.version, all, subscriptions: subscriptions.length }));
      process.exit(0);
    `;
    const told = execFileSync(process.execPath, ['--input-type=module', '-e', script, folder], { encoding: 'utf8' });
    assert.deepEqual(JSON.parse(told), {
      opened: ['ws://node.example/v1/ws'],
      seen: ['connect', 'subscribe', 'subscribe', 'subscribe'],
      version: '1.2.0',
      all: versions,
      subscriptions: 3,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
