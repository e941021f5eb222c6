// Compiles the tests and runs them: `node scripts/test.mjs [FILE..]`, where a file is a name in tests/ without `.test.ts`;
// with `--without-browser` those alone that need no Chromium.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/** Minutes of the whole run, so that one that hangs ends; long runs are those of the night. */
const MINUTES = process.env.TEST_SIZE === 'full' ? 25 : 6;
/** Milliseconds of one test. */
const LONGEST_MS = (MINUTES - 1) * 60_000;

const root = new URL('..', import.meta.url).pathname;
const asked = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const needsBrowser = (file) => /from '(playwright-core|\.\/(browser|shop)\.js)'/.test(readFileSync(join(root, 'tests', file), 'utf8'));
const names = readdirSync(join(root, 'tests')).filter(
  (file) => file.endsWith('.test.ts') && !(process.argv.includes('--without-browser') && needsBrowser(file)),
);
const chosen = names.filter((file) => !asked.length || asked.some((name) => file === `${name}.test.ts`));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

mkdirSync(join(root, '.build'), { recursive: true });
// One of its own, since two runs may go on at once.
const out = mkdtempSync(join(root, '.build/tests-'));
await build({
  entryPoints: chosen.map((file) => join(root, 'tests', file)),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'es2022',
  sourcemap: 'inline',
  define: { __VERSION__: JSON.stringify(version), __ROOT__: JSON.stringify(root) },
  logLevel: 'warning',
});
const files = chosen.map((file) => join(out, file.replace(/\.ts$/, '.mjs')));
const { status } = spawnSync(
  process.execPath,
  ['--enable-source-maps', '--test', `--test-timeout=${LONGEST_MS}`, `--test-concurrency=${process.env.CLIENT_TEST_CONCURRENCY ?? 2}`, ...files],
  { stdio: 'inherit', timeout: MINUTES * 60_000 },
);
rmSync(out, { recursive: true, force: true });
process.exit(status ?? 1);
