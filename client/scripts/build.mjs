// Builds dist: a module for pages, the tables of codes, and the types; and the components of the demo. With `--check` it
// builds beside dist and fails where the two differ, so that what is committed is what the source says.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';

/** Files of dist, and what they are made of. */
const ENTRIES = {
  notifier: 'index.ts',
  codes: 'codes.ts',
  bridge: 'bridge.ts',
  elements: 'elements/index.ts',
  fallback: 'fallback.ts',
  inspector: 'inspector.ts',
  lit: 'lit.ts',
  lite: 'lite.ts',
  optimistic: 'optimistic.ts',
  react: 'react.ts',
  remember: 'remember.ts',
  svelte: 'svelte.ts',
  tabs: 'tabs.ts',
  testing: 'testing/index.ts',
  vue: 'vue.ts',
  worker: 'worker/index.ts',
};
/** Packages of the page itself. */
const FRAMEWORKS = ['react', 'svelte', 'vue'];
/** The other entries find the library beside them instead of bringing a copy. */
const oneLibrary = {
  name: 'one-library',
  setup({ onResolve }) {
    onResolve({ filter: /\/index\.js$/ }, ({ path, importer }) =>
      join(dirname(importer), path) === join(root, 'src/index.js') ? { path: './notifier.js', external: true } : undefined,
    );
    // What is loaded only where it is needed is a file of its own.
    onResolve({ filter: /^\.\/\w+\.js$/ }, ({ path, kind }) => (kind === 'dynamic-import' ? { path, external: true } : undefined));
  },
};

const root = new URL('..', import.meta.url).pathname;
const check = process.argv.includes('--check');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

mkdirSync(join(root, '.build'), { recursive: true });
const dist = join(root, 'dist');
const out = check ? mkdtempSync(join(root, '.build/dist-')) : dist;
const run = (script, ...args) => execFileSync(process.execPath, [join(root, script), ...args], { stdio: 'inherit' });
const tsc = (...args) => run('node_modules/typescript/bin/tsc', ...args);

try {
  run('scripts/codes.mjs', ...(check ? ['--check'] : []));
  if (!check) rmSync(dist, { recursive: true, force: true });
  await build({
    entryPoints: Object.fromEntries(Object.entries(ENTRIES).map(([name, file]) => [name, join(root, 'src', file)])),
    outdir: out,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    define: { __VERSION__: JSON.stringify(version) },
    external: FRAMEWORKS,
    plugins: [oneLibrary],
    logLevel: 'warning',
  });
  tsc('-p', root);
  tsc('-p', join(root, 'tsconfig.build.json'), '--outDir', join(out, 'types'));
  run('scripts/demo.mjs', ...(check ? ['--check'] : []));
  if (check && content(dist) !== content(out)) {
    console.error('client/dist is not what client/src gives: run `make client`, and commit it');
    process.exitCode = 1;
  }
} finally {
  if (check) rmSync(out, { recursive: true, force: true });
}

/** All files of a folder, names and texts. */
function content(folder) {
  const names = existsSync(folder) ? readdirSync(folder, { recursive: true }).sort() : [];
  const files = names.filter((name) => statSync(join(folder, name)).isFile());
  return JSON.stringify(files.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}
