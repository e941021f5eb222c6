// Builds dist: a module for pages, the tables of codes, and the types. With `--check` it builds beside dist and fails where
// the two differ, so that what is committed is what the source says.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

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
    entryPoints: {
      notifier: join(root, 'src/index.ts'),
      codes: join(root, 'src/codes.ts'),
      testing: join(root, 'src/testing/index.ts'),
    },
    outdir: out,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    define: { __VERSION__: JSON.stringify(version) },
    logLevel: 'warning',
  });
  tsc('-p', root);
  tsc('-p', join(root, 'tsconfig.build.json'), '--outDir', join(out, 'types'));
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
