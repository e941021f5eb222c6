// Builds the components of demo/ into demo/dist, each team's with its own copy of the library under its own version:
// `node scripts/demo.mjs`. With `--check` it fails where demo/dist is not what the sources say.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { compiler } from './compile.mjs';
import { aliases } from './entries.mjs';

const root = new URL('..', import.meta.url).pathname;
const demo = join(root, '../demo');
const dist = join(demo, 'dist');

/** The bundles, and the version of the library that each one brings; the first three bring none. */
const TEAMS = [
  ['shell/shell.js'],
  ['products/products.js'],
  ['mini-cart/mini-cart.js'],
  ['cart/cart.js', '1.3.0'],
  ['badge/badge.jsx', '1.2.0'],
  ['stock/stock.js', '1.1.0'],
  ['orders/orders.js', '1.0.3'],
];
/** Bytes of all bundles: a development build of one of the frameworks is as large as all of them. */
const MOST_BYTES = 520_000;
/** Packages that the bundles contain, whose licences stand beside them. */
const PACKAGES = /node_modules\/((?:@[^/]+\/)?[^/]+)\//;

/** The library of the node is a file beside the page, not a part of a bundle; so is what a library loads when it needs it. */
const served = {
  name: 'served',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.\/client\/v1\// }, ({ path }) => ({ path, external: true }));
    onResolve({ filter: /^\.\/\w+\.js$/ }, ({ path, kind }) =>
      kind === 'dynamic-import' ? { path: path.replace('.', '../client/v1'), external: true } : undefined,
    );
  },
};

const bundled = new Set();
const files = new Map();
for (const [entry, version = ''] of TEAMS) {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(demo, entry)],
    outdir: dist,
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    conditions: ['production', 'browser', 'module'],
    // All notices stand in one file beside the bundles.
    legalComments: 'none',
    alias: aliases(root),
    nodePaths: [join(root, 'node_modules')],
    plugins: [served, compiler],
    define: {
      __VERSION__: JSON.stringify(version),
      'process.env.NODE_ENV': '"production"',
      __VUE_OPTIONS_API__: 'false',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    },
    logLevel: 'warning',
  });
  for (const { path, text } of outputFiles) files.set(basename(path), text);
  for (const output of Object.values(metafile.outputs))
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const [, name] = PACKAGES.exec(input) ?? [];
      if (name && bytesInOutput) bundled.add(name);
    }
}
const bytes = [...files.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
if (bytes > MOST_BYTES) throw new Error(`the bundles of demo have ${bytes} bytes, more than ${MOST_BYTES}: is one a development build?`);
files.set('LICENSES.txt', licences());

if (!process.argv.includes('--check')) {
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist);
  for (const [name, text] of files) writeFileSync(join(dist, name), text);
} else {
  const names = existsSync(dist) ? readdirSync(dist).sort() : [];
  const isFile = (name) => readFileSync(join(dist, name), 'utf8') === files.get(name);
  const isCurrent = names.join() === [...files.keys()].sort().join() && names.every(isFile);
  if (!isCurrent) {
    console.error('demo/dist is not what demo and client/src give: run `make client`, and commit it');
    process.exitCode = 1;
  }
}

/** The notices of all packages of which something is in the bundles. */
function licences() {
  const notices = [...bundled].sort().map((name) => {
    const folder = join(root, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
    // Some packages of one repository leave the text to the one that they belong to.
    const text = file ? readFileSync(join(folder, file), 'utf8').trim() : `No text in the package; see its repository.`;
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  return `The bundles in this folder contain parts of these packages.\n\n${notices.join(`\n${'-'.repeat(80)}\n\n`)}`;
}
