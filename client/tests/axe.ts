// What axe finds in a page.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { ROOT } from './paths.js';

const SCRIPT = readFileSync(createRequire(join(ROOT, 'package.json')).resolve('axe-core/axe.min.js'), 'utf8');

export async function assertAccessible(page: Page, what: string): Promise<void> {
  await page.evaluate(SCRIPT);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string }[]; passes: unknown[] }> } };
    const { violations, passes } = await axe.run();
    return { violations: violations.map(({ id }) => id), passes: passes.length };
  });
  assert.deepEqual(found.violations, [], what);
  assert.ok(found.passes > 10);
}
