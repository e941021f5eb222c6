// The page for users: its table names tests, its components run.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { inBrowser } from './browser.js';
import { CASES, ROOT } from './paths.js';
import { until } from './wait.js';

const page = readFileSync(join(ROOT, 'README.md'), 'utf8');
const section = (title: string): string => page.slice(page.indexOf(`\n## ${title}\n`)).split('\n## ')[1] ?? '';

void it('every row of "What happens when" is a test', () => {
  const rows = [...section('What happens when').matchAll(/^\| [^|]+ \| ([^|]+) \|$/gm)].map(([, name = '']) => name).filter((name) => name !== 'then');
  assert.ok(rows.length > 20);
  const texts = [join(ROOT, 'tests'), CASES].flatMap((folder) =>
    readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8')),
  );
  const missing = rows.filter((name) => !texts.some((text) => ["'", '"', ': seed'].some((mark) => text.includes(name + mark))));
  assert.deepEqual(missing, []);
});

const display = inBrowser();

/** How a page shows the component of a block: the file that the block becomes, and what stands around it. */
const SHOWN: Record<string, [file: string, script: string]> = {
  Vanilla: ['./CartBadge.jsx', `import './CartBadge.jsx'; document.body.append(document.createElement('cart-badge'));`],
  Lit: ['./CartBadge.jsx', `import './CartBadge.jsx'; document.body.append(document.createElement('cart-badge'));`],
  React: [
    './CartBadge.jsx',
    `import { createElement } from 'react';
     import { createRoot } from 'react-dom/client';
     import { CartBadge } from './CartBadge.jsx';
     createRoot(document.body.appendChild(document.createElement('main'))).render(createElement(CartBadge));`,
  ],
  Vue: ['./CartBadge.vue', `import { createApp } from 'vue'; import CartBadge from './CartBadge.vue'; createApp(CartBadge).mount(document.body);`],
  Svelte: ['./CartBadge.svelte', `import { mount } from 'svelte'; import CartBadge from './CartBadge.svelte'; mount(CartBadge, { target: document.body });`],
};

const NODE = `
  import { configure } from '@notifier/client';
  import { createFakeNode } from '@notifier/client/testing';
  const node = createFakeNode();
  configure(node.config);
  node.emit('shop.cart.u42', { items: 3 });
  globalThis.change = () => node.emit('shop.cart.u42', { items: 4 });
`;

async function shows(name: string, source: string, files: Record<string, string>, texts: string[]): Promise<void> {
  await display(name, { source, files }, async (shown) => {
    for (const [index, text] of texts.entries()) {
      if (index) await shown.evaluate(() => (globalThis as unknown as { change: () => void }).change());
      await until(() => shown.getByText(text, { exact: true }).isVisible(), `${name} shows ${text}`);
    }
  });
}

for (const [name, [file, script]] of Object.entries(SHOWN)) {
  void it(`the first component in ${name} has at most ten lines, and shows what is stored and what comes`, async () => {
    const [, block = ''] = new RegExp(`\\*\\*${name}\\*\\*[^\`]*\`\`\`\\w+\\n([^]*?)\n\`\`\``).exec(section('The first component')) ?? [];
    assert.ok(block.split('\n').length <= 10 && block.includes('shop.cart.u42'), block);
    await shows(name, NODE + script, { [file]: block }, ['3', '4']);
  });
}

void it('the test of a component runs as the page shows it', async () => {
  const [, component = ''] = /\*\*Vanilla\*\*\s+```js\n([^]*?)```/.exec(section('The first component')) ?? [];
  const [, test = ''] = /```js\n([^]*?)```/.exec(section('Test your components')) ?? [];
  assert.ok(test.includes('createFakeNode'));
  await shows('test', `import './CartBadge.jsx';\n${test}`, { './CartBadge.jsx': component }, ['3']);
});
