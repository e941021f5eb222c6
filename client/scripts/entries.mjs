// The entries of the package, by the names under which pages import them, from their sources.
import { join } from 'node:path';

const ENTRIES = {
  '': 'index.ts',
  '/bridge': 'bridge.ts',
  '/elements': 'elements/index.ts',
  '/lit': 'lit.ts',
  '/optimistic': 'optimistic.ts',
  '/react': 'react.ts',
  '/svelte': 'svelte.ts',
  '/vue': 'vue.ts',
};

export const aliases = (root) =>
  Object.fromEntries(Object.entries(ENTRIES).map(([name, file]) => [`@notifier/client${name}`, join(root, 'src', file)]));
