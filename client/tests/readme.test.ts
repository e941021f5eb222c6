import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { CASES, ROOT } from './paths.js';

void it('every row of "What happens when" is a test', () => {
  const page = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const section = page.slice(page.indexOf('## What happens when')).split('\n## ')[0] ?? '';
  const rows = [...section.matchAll(/^\| [^|]+ \| ([^|]+) \|$/gm)].map(([, name = '']) => name).filter((name) => name !== 'then');
  assert.ok(rows.length > 20);
  const texts = [join(ROOT, 'tests'), CASES].flatMap((folder) =>
    readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8')),
  );
  const missing = rows.filter((name) => !texts.some((text) => ["'", '"', ': seed'].some((mark) => text.includes(name + mark))));
  assert.deepEqual(missing, []);
});
