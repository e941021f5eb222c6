// The wire cases of cases/*.json, each as a test of its own name: over the network, and over connections in memory.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type Case, runCase } from './cases.js';
import { CASES } from './paths.js';
import { ScriptedNode } from './scripted.js';

for (const file of readdirSync(CASES).sort()) {
  describe(file.replace('.json', ''), () => {
    for (const one of JSON.parse(readFileSync(join(CASES, file), 'utf8')) as Case[]) {
      void it(one.name, { timeout: 20_000 }, async () => runCase(one, await ScriptedNode.start()));
      void it(`${one.name}, in memory`, { timeout: 20_000 }, () => runCase(one, ScriptedNode.inMemory()));
    }
  });
}
