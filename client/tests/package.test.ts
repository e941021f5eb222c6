// What is shipped: its size, its exports, its types, and that it does nothing before it is asked.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { it } from 'node:test';
import { deflateSync } from 'node:zlib';
import { CLOSE_CODES, ERROR_CODES, reconnects } from '../src/codes.js';
import { DIST, REPOSITORY, ROOT } from './paths.js';

/** Bytes of the module as it travels (zlib, level 9). README.md says what they are made of. */
const MOST_BYTES = 10_752;
/** The same for the other entries, which come on top of it. */
const ENTRY_BYTES: Record<string, number> = {
  'bridge.js': 1_024,
  'codes.js': 1_024,
  'elements.js': 3_072,
  'fallback.js': 4_608,
  'inspector.js': 2_048,
  'lit.js': 512,
  'lite.js': 1_024,
  'optimistic.js': 1_280,
  'react.js': 640,
  'remember.js': 1_024,
  'svelte.js': 512,
  'tabs.js': 640,
  'testing.js': 4_096,
  'vue.js': 512,
  'worker.js': 11_136,
};

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  dependencies?: object;
  peerDependencies: Record<string, string>;
  peerDependenciesMeta: Record<string, { optional: boolean }>;
  sideEffects: boolean;
  exports: Record<string, string | Record<string, string>>;
};

void it('the library and each other entry keep to their size', () => {
  const budgets = { 'notifier.js': MOST_BYTES, ...ENTRY_BYTES };
  assert.deepEqual(readdirSync(DIST).filter((file) => file.endsWith('.js')).sort(), Object.keys(budgets).sort());
  for (const [file, most] of Object.entries(budgets)) {
    const bytes = deflateSync(readFileSync(join(DIST, file)), { level: 9 }).length;
    assert.ok(bytes <= most, `${file}: ${bytes} bytes`);
  }
});

void it('the sizes are those that the page for users tells', () => {
  const rows = [...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/^\| `(\w+\.js)` \| ([\d,]+) \|$/gm)];
  const told = rows.map(([, file, bytes = '']) => [file, Number(bytes.replace(',', ''))]);
  assert.deepEqual(told, Object.entries({ 'notifier.js': MOST_BYTES, ...ENTRY_BYTES }));
});

void it('no entry brings a second copy of the library', () => {
  // The worker is no part of a page.
  for (const file of Object.keys(ENTRY_BYTES).filter((name) => name !== 'worker.js')) {
    // What each copy has and nothing else: the name by which it introduces itself to a node.
    assert.ok(!readFileSync(join(DIST, file), 'utf8').includes('notifier-client'), file);
  }
});

void it('what is committed is what the source gives', () => {
  execFileSync(process.execPath, [join(ROOT, 'scripts/build.mjs'), '--check'], { stdio: 'pipe' });
});

void it('versions that were released are what they were, and those that the node embeds', () => {
  execFileSync(join(REPOSITORY, 'scripts/client-versions.sh'), ['check'], { stdio: 'pipe' });
});

void it('a release keeps its version of the library and the two before, and refuses a change under a released number', () => {
  const folder = mkdtempSync(join(tmpdir(), 'notifier-versions-'));
  const file = (path: string, text?: string): string => {
    if (text === undefined) return readFileSync(join(folder, path), 'utf8');
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
    return text;
  };
  const run = (verb: string): string => {
    const { status, stderr } = spawnSync(join(folder, 'scripts/client-versions.sh'), [verb], { encoding: 'utf8' });
    return status === 0 ? 'done' : stderr;
  };
  const library = (version: string, text: string): void => {
    file('client/package.json', `{\n  "version": "${version}",\n}\n`);
    for (const name of ['notifier', 'bridge']) file(`client/dist/${name}.js`, `${text} ${name}`);
  };
  const kept = (): string[] => readdirSync(join(folder, 'client/versions')).filter((name) => name !== 'SHA384SUMS');
  try {
    for (const path of ['scripts/client-versions.sh', 'src/server/client_releases.rs']) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      cpSync(join(REPOSITORY, path), join(folder, path));
    }
    const modules = ['notifier', 'bridge'].map((name) => `("${name}.js", include_str!("../../client/dist/${name}.js")),`);
    file('src/server/client_library.rs', modules.join('\n'));
    for (const version of ['1.0.0', '1.1.0-rc.1', '1.1.0', '1.10.0', '1.9.0']) {
      library(version, version);
      assert.deepEqual([run('keep'), run('check')], ['done', 'done'], version);
    }
    assert.deepEqual(kept().sort(), ['1.1.0', '1.10.0', '1.9.0']);
    assert.equal(file('client/versions/1.10.0/bridge.js'), '1.10.0 bridge');
    const table = file('src/server/client_releases.rs');
    assert.deepEqual([...table.matchAll(/^ {4}\("(.*)", &\[$/gm)].map(([, version]) => version), ['1.10.0', '1.9.0', '1.1.0']);
    assert.ok(table.includes('("bridge.js", include_str!("../../client/versions/1.9.0/bridge.js")),'));

    library('1.9.0', 'changed');
    for (const verb of ['check', 'keep']) assert.match(run(verb), /is not the one of 1\.9\.0, which is released/);
    library('1.11.0', '1.11.0');
    assert.equal(run('check'), 'done');
    file('client/versions/1.9.0/bridge.js', 'changed');
    assert.match(run('check'), /a released version has changed/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

void it('every export is there, and there is no dependency', () => {
  assert.equal(manifest.dependencies, undefined);
  for (const name of Object.keys(manifest.peerDependencies)) assert.ok(manifest.peerDependenciesMeta[name]?.optional, name);
  assert.equal(manifest.sideEffects, false);
  for (const target of Object.values(manifest.exports).flatMap((one) => (typeof one === 'string' ? one : Object.values(one)))) {
    assert.ok(readFileSync(join(ROOT, target)).length > 0, target);
  }
});

void it('publint and attw find no fault in the package as npm would publish it', () => {
  const run = (tool: string, ...args: string[]): void => {
    execFileSync(process.execPath, [join(ROOT, 'node_modules', tool), ...args], { cwd: ROOT, stdio: 'pipe' });
  };
  run('publint/src/cli.js', '--strict');
  // ES modules alone, on purpose.
  run('@arethetypeswrong/cli/dist/index.js', '--pack', '.', '--profile', 'esm-only');
});

void it('an import touches nothing, wherever it happens: no global, no listener, no timer, no storage', () => {
  const script = `
    const touched = [];
    for (const name of ['document', 'localStorage', 'sessionStorage', 'WebSocket', 'location', 'addEventListener']) {
      Object.defineProperty(globalThis, name, { configurable: true, get() { touched.push(name); } });
    }
    for (const name of ['setTimeout', 'setInterval', 'queueMicrotask', 'fetch']) globalThis[name] = () => touched.push(name);
    const before = Reflect.ownKeys(globalThis).length;
    await import(process.argv[1]);
    if (touched.length || Reflect.ownKeys(globalThis).length !== before) throw new Error('touched ' + touched);
  `;
  for (const entry of ['notifier.js', 'bridge.js', 'codes.js', 'elements.js', 'fallback.js', 'inspector.js', 'lit.js', 'lite.js', 'optimistic.js', 'remember.js', 'tabs.js', 'testing.js']) {
    execFileSync(process.execPath, ['--input-type=module', '-e', script, join(DIST, entry)], { stdio: 'pipe' });
  }
});

/** What makes each place out of Node. */
const PLACES: Record<string, string> = {
  'React Native': `
    // Events last: Node makes the others of them when they are first looked at.
    for (const name of ['WebSocket', 'MessageEvent', 'CustomEvent', 'crypto', 'reportError', 'navigator', 'Event', 'EventTarget']) {
      Object.defineProperty(globalThis, name, { value: undefined, configurable: true });
    }
    globalThis.window = globalThis;
  `,
  'a worker': `
    const self = new EventTarget();
    globalThis.addEventListener = self.addEventListener.bind(self);
    globalThis.removeEventListener = self.removeEventListener.bind(self);
    globalThis.self = globalThis;
    globalThis.location = { origin: 'https://shop.example' };
  `,
  'Deno without a location': `
    Object.defineProperty(globalThis, 'location', { get() { throw new ReferenceError('run again with --location'); } });
  `,
};

for (const [place, make] of Object.entries(PLACES)) {
  void it(`the library works with the globals of ${place}`, () => {
    const script = `
      ${make}
      const { configure, subscribe, live, publish, request, fetch, status, inspect } = await import(process.argv[1] + '/notifier.js');
      const { createFakeNode } = await import(process.argv[1] + '/testing.js');
      const node = createFakeNode({ streams: { S: { subjects: ['d.>'] } } });
      configure({ ...node.config, token: () => 'token' });
      const heard = [];
      await subscribe('d.x', ({ data }) => heard.push(data)).ready;
      const store = live('d.x');
      store.subscribe(() => {});
      await publish('d.x', 1);
      node.cut();
      await publish('d.x', new Uint8Array([1]));
      node.answer('ask', (data) => data + 1);
      const answer = await request('ask', 1);
      for await (const { data } of subscribe('d.x', { after: (await fetch('d.x', { limit: 1 })).cursor })) {
        heard.push(data);
        break;
      }
      for (let i = 0; i < 100 && store.getSnapshot().state !== 'live'; i++) await new Promise((resolve) => setTimeout(resolve, 5));
      const told = JSON.stringify([heard, answer, status.getSnapshot().status, store.getSnapshot(), inspect().counters.dials]);
      const bytes = '{"0":1}';
      if (told !== '[[1,' + bytes + ',' + bytes + '],2,"online",{"value":' + bytes + ',"state":"live"},2]') throw new Error(told);
      process.exit(0);
    `;
    execFileSync(process.execPath, ['--input-type=module', '-e', script, DIST], { stdio: 'pipe' });
  });
}

void it('where a page is rendered on a server a subscription is taken, and nobody is called', () => {
  const script = `
    const { subscribe, live, status, inspect } = await import(process.argv[1]);
    subscribe('x', () => { throw new Error('an event'); });
    const store = live('x');
    store.subscribe(() => {});
    await new Promise((resolve) => setTimeout(resolve, 20));
    const state = JSON.stringify([status.getSnapshot().status, store.getSnapshot(), inspect().counters.dials]);
    if (state !== '["idle",{"state":"loading"},0]') throw new Error(state);
    const added = Reflect.ownKeys(globalThis).filter((key) => String(key).includes('notifier'));
    if (added.length !== 1 || added[0] !== Symbol.for('notifier.client.v1')) throw new Error(String(added));
  `;
  execFileSync(process.execPath, ['--input-type=module', '-e', script, join(DIST, 'notifier.js')], { stdio: 'pipe' });
});

void it('the codes are those of the node, and the range decides what a client does', () => {
  const page = readFileSync(join(REPOSITORY, 'docs/protocol.md'), 'utf8');
  const errors = [...page.matchAll(/^\| `(\w+)` \| (\d{3}) \| \S+ \| (yes|no) \|/gm)];
  assert.deepEqual(
    errors.map(([, name, status, retryable]) => [name, { status: Number(status), retryable: retryable === 'yes' }]),
    Object.entries(ERROR_CODES),
  );
  const closes = [...page.matchAll(/^\| (\d{4}) \| `(\w+)` \| (yes|no) \|/gm)];
  assert.deepEqual(closes.map(([, code, name]) => [code, name]), Object.entries(CLOSE_CODES));
  for (const [, code, , reconnect] of closes) assert.equal(reconnects(Number(code)), reconnect === 'yes', code);
  for (const code of [1001, 1012, 1013, 4000, 4499]) assert.ok(reconnects(code), String(code));
  for (const code of [1000, 1008, 3000, 3999, 4500, 4999]) assert.ok(!reconnects(code), String(code));
});
