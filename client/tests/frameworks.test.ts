// The entries for frameworks, in a real Chromium, with the real frameworks, at a node in the page's memory.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { it } from 'node:test';
import type { Page } from 'playwright-core';
import type { FakeNode } from '../src/testing/node.js';
import { inBrowser } from './browser.js';
import type { Files } from './frameworks.js';
import { DIST, ROOT } from './paths.js';
import { until } from './wait.js';

const display = inBrowser();

/** What each page has: a node that counts subscriptions on the wire, and a measure of the heap. */
const FRAME = `
  import * as library from '@notifier/client';
  import { createFakeNode } from '@notifier/client/testing';
  const node = createFakeNode({ streams: { S: { subjects: ['shop.>'] } } });
  const wire = [];
  const heard = [];
  class Counting extends node.config.WebSocket {
    send(text) {
      for (const line of text.split('\\n')) if (JSON.parse(line).subscribe) wire.push(JSON.parse(line).subscribe.subject);
      super.send(text);
    }
  }
  library.configure({ ...node.config, WebSocket: Counting });
  const main = document.body.appendChild(document.createElement('main'));
  Object.assign(globalThis, { node, wire, heard, library, main });
  globalThis.measure = async (times, what) => {
    for (let i = 0; i < times; i++) {
      await show(null);
      await show(what);
      if (i % 100 === 0) await new Promise((resolve) => setTimeout(resolve));
    }
    // React's development build leaves a measure for each render.
    performance.clearMeasures();
    // Twice, because objects of the browser go after those of the script that held them.
    for (const wait of [300, 100]) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      gc();
    }
    return performance.memory.usedJSHeapSize;
  };
`;
declare const node: FakeNode;
declare const wire: string[];
declare const heard: unknown[];
declare const measure: (times: number, what: string) => Promise<number>;
/** Mounts a component for a subject, nothing for `null`; in React one without the library for `plain`. */
declare const show: (what: string | null) => Promise<void>;

interface Framework {
  title: string;
  source: string;
  files?: Files;
}

const FRAMEWORKS: Record<string, Framework> = {
  React: {
    title: '10,000 mounts and unmounts in React, in StrictMode, are one subscription and a flat heap',
    source: `
      import { createRoot } from 'react-dom/client';
      import { flushSync } from 'react-dom';
      import { App } from './App.jsx';
      const root = createRoot(main);
      globalThis.show = (what) => flushSync(() => root.render(App({ what })));
    `,
    files: {
      './App.jsx': `
        import { StrictMode, useEffect, useSyncExternalStore } from 'react';
        import { useLive, useStatus, useSubscribe } from '@notifier/client/react';
        function Badge({ subject }) {
          const { value, state } = useLive(subject);
          const { status } = useStatus();
          useSubscribe(subject, ({ data }) => heard.push(data.items));
          return <p id="badge" title={state} className={status}>{value?.items}</p>;
        }
        // The same without the library: what React itself leaves behind.
        const nothing = { subscribe: () => () => {}, get: () => 0 };
        function Plain() {
          useSyncExternalStore(nothing.subscribe, nothing.get);
          useSyncExternalStore(nothing.subscribe, nothing.get);
          useEffect(() => () => {}, []);
          return <p />;
        }
        export const App = ({ what }) => <StrictMode>{what === 'plain' ? <Plain /> : what && <Badge subject={what} />}</StrictMode>;
      `,
    },
  },
  Vue: {
    title: '10,000 mounts and unmounts in Vue are one subscription and a flat heap',
    source: `
      import { createApp, nextTick, shallowRef } from 'vue';
      import App from './App.vue';
      const what = shallowRef(null);
      createApp(App, { what }).mount(main);
      globalThis.show = (now) => ((what.value = now), nextTick());
    `,
    files: {
      './App.vue': `
        <script setup>
          import Badge from './Badge.vue';
          defineProps(['what']);
        </script>
        <template><Badge v-if="what.value" :subject="what.value" /></template>
      `,
      './Badge.vue': `
        <script setup>
          import { useLive, useStatus, useSubscribe } from '@notifier/client/vue';
          const props = defineProps(['subject']);
          const cart = useLive(() => props.subject);
          const connection = useStatus();
          useSubscribe(() => props.subject, ({ data }) => heard.push(data.items));
        </script>
        <template><p id="badge" :title="cart.state" :class="connection.status">{{ cart.value?.items }}</p></template>
      `,
    },
  },
  Svelte: {
    title: '10,000 mounts and unmounts in Svelte are one subscription and a flat heap',
    source: `
      import { flushSync, mount } from 'svelte';
      import { writable } from 'svelte/store';
      import App from './App.svelte';
      const what = writable(null);
      mount(App, { target: main, props: { what } });
      globalThis.show = async (now) => {
        what.set(now);
        flushSync();
        // Svelte ends what nobody follows any more in a microtask.
        await null;
      };
    `,
    files: {
      './App.svelte': `
        <script>
          import Badge from './Badge.svelte';
          const { what } = $props();
        </script>
        {#if $what}<Badge subject={$what} />{/if}
      `,
      './Badge.svelte': `
        <script>
          import { live, subscribe } from '@notifier/client';
          import { useLive, useStatus } from '@notifier/client/svelte';
          const { subject } = $props();
          const cart = $derived(useLive(subject));
          const connection = useStatus();
          $effect(() => subscribe(subject, ({ data }) => heard.push(data.items)).unsubscribe);
        </script>
        <p id="badge" title={cart.current.state} class={connection.current.status}>{cart.current.value?.items}</p>
      `,
    },
  },
  Lit: {
    title: '10,000 mounts and unmounts in Lit are one subscription and a flat heap',
    source: `
      import { html, LitElement } from 'lit';
      import { subscribe } from '@notifier/client';
      import { LiveController, StatusController } from '@notifier/client/lit';
      class Light extends LitElement {
        createRenderRoot() { return this; }
      }
      customElements.define('cart-badge', class extends Light {
        static properties = { subject: {} };
        connection = new StatusController(this);
        willUpdate() {
          if (this.cart) this.cart.subject = this.subject;
          else this.cart = new LiveController(this, this.subject);
        }
        connectedCallback() {
          super.connectedCallback();
          this.subscription = subscribe(this.subject, ({ data }) => heard.push(data.items));
        }
        disconnectedCallback() {
          super.disconnectedCallback();
          this.subscription.unsubscribe();
        }
        render() {
          return html\`<p id="badge" title=\${this.cart.state} class=\${this.connection.value.status}>\${this.cart.value?.items}</p>\`;
        }
      });
      globalThis.show = async (what) => {
        const before = main.firstElementChild;
        if (what && before?.localName === 'cart-badge') {
          before.subject = what;
          return before.updateComplete;
        }
        main.replaceChildren();
        if (!what) return;
        const element = document.createElement('cart-badge');
        element.subject = what;
        main.append(element);
        return element.updateComplete;
      };
    `,
  },
};

const badge = (page: Page, expected: string, state = 'live'): Promise<boolean> =>
  until(
    () => page.evaluate(([text, title]) => {
      const element = document.querySelector<HTMLElement>('#badge');
      return element?.textContent === text && element.title === title;
    }, [expected, state] as const),
    `a badge ${expected}, ${state}`,
  );
const subscribed = (page: Page, ...subjects: string[]): Promise<boolean> =>
  until(() => page.evaluate((wanted) => [...node.subjects].sort().join() === wanted, subjects.sort().join()), `subscribed to ${subjects.join()}`);

for (const [name, { title, source, files = {} }] of Object.entries(FRAMEWORKS)) {
  const open = async (run: (page: Page) => Promise<void>, what: string): Promise<void> => {
    await display(`${name}-${what}`, { source: FRAME + source, files }, run);
  };

  void it(`a component in ${name} shows the newest value and its state, follows another subject, and gives up what it leaves`, () =>
    open(async (page) => {
      await page.evaluate(() => node.emit('shop.a', { items: 1 }));
      await page.evaluate(() => show('shop.a'));
      await badge(page, '1');
      await page.evaluate(() => node.emit('shop.a', { items: 2 }));
      await badge(page, '2');
      await page.evaluate(() => node.setStatus('waiting'));
      await badge(page, '2', 'stale');
      await until(() => page.evaluate(() => document.querySelector('#badge')?.className === 'waiting'), 'the status');
      await page.evaluate(() => node.emit('shop.a', { items: 3 }));
      await page.evaluate(() => node.setStatus('online'));
      await badge(page, '3');
      await page.evaluate(() => node.emit('shop.b', { items: 10 }));
      await page.evaluate(() => show('shop.b'));
      await badge(page, '10');
      if (name !== 'Lit') await subscribed(page, 'shop.b');
      await page.evaluate(() => show(null));
      await subscribed(page);
      assert.deepEqual(await page.evaluate(() => heard), [2, 3]);
    }, 'shows'));

  void it(title, { timeout: 120_000 }, () =>
    open(async (page) => {
      await page.evaluate(() => node.emit('shop.a', { items: 1 }));
      await page.evaluate(() => show('shop.a'));
      await badge(page, '1');
      const after = (times: number, what: string): Promise<number> =>
        page.evaluate(([n, shown]) => measure(n, shown), [times, what] as const);
      await after(1_000, 'shop.a');
      let plain = 0;
      if (name === 'React') {
        const begin = await after(1_000, 'plain');
        plain = Math.max(0, ((await after(2_000, 'plain')) - begin) * 5);
      }
      // What is held grows in every round; the memory of compiled code does not. Less than 50 bytes for each mount.
      let before = await after(1_000, 'shop.a');
      const sent = await page.evaluate(() => wire.length);
      const grown: number[] = [];
      while (grown.length < 3 && !grown.some((bytes) => bytes - plain < 500_000)) {
        const now = await after(10_000, 'shop.a');
        grown.push(now - before);
        before = now;
      }
      assert.equal(await page.evaluate(() => wire.length), sent);
      assert.ok(Math.min(...grown) - plain < 500_000, `grown by ${grown.join(', ')} bytes, by ${plain} without the library`);
      await badge(page, '1');
      await page.evaluate(() => heard.splice(0));
      await page.evaluate(() => node.emit('shop.a', { items: 2 }));
      await badge(page, '2');
      assert.deepEqual(await page.evaluate(() => heard), [2]);
      await page.evaluate(() => show(null));
      await subscribed(page);
    }, 'mounts'));
}

void it('React paints one value in all components while events come and a slow transition renders', async () => {
  const source = `${FRAME}
    import { createRoot } from 'react-dom/client';
    import { App } from './App.jsx';
    globalThis.torn = [];
    globalThis.paints = 0;
    globalThis.values = new Set();
    const look = () => {
      // Behind everything that this frame renders.
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        const shown = new Set([...document.querySelectorAll('i')].map((cell) => cell.textContent));
        paints++;
        for (const value of shown) values.add(value);
        if (shown.size > 1) torn.push([...shown].join());
        requestAnimationFrame(look);
      };
      port2.postMessage(null);
    };
    requestAnimationFrame(look);
    createRoot(main).render(App());
  `;
  const files = {
    './App.jsx': `
      import { memo, startTransition, useState } from 'react';
      import { useLive } from '@notifier/client/react';
      const busy = (ms) => { for (const end = performance.now() + ms; performance.now() < end; ); };
      const Cell = memo(({ query }) => {
        const { value } = useLive('shop.n');
        busy(0.3);
        return <i title={query}>{value}</i>;
      });
      const Grid = () => {
        const [query, setQuery] = useState(0);
        globalThis.search = () => startTransition(() => setQuery((last) => last + 1));
        globalThis.query = query;
        return Array.from({ length: 40 }, (_, i) => <Cell key={i} query={query} />);
      };
      export const App = () => <Grid />;
    `,
  };
  await display('React-transition', { source, files }, async (page) => {
    await page.evaluate(() => node.emit('shop.n', 0));
    await until(() => page.evaluate(() => [...document.querySelectorAll('i')].every((cell) => cell.textContent === '0')), 'all cells');
    const { torn, paints, values, queries } = await page.evaluate(async () => {
      const seen = globalThis as unknown as { torn: string[]; paints: number; values: Set<string>; search: () => void; query: number };
      seen.torn.length = 0;
      for (let number = 1; number <= 200; number++) {
        node.emit('shop.n', number);
        if (number % 10 === 0) seen.search();
        await new Promise((resolve) => setTimeout(resolve, 4));
      }
      return { torn: seen.torn, paints: seen.paints, values: seen.values.size, queries: seen.query };
    });
    assert.deepEqual(torn, []);
    assert.ok(paints > 20 && values > 10 && queries > 2, `${paints} paints, ${values} values, ${queries} transitions`);
  });
});

void it('pages of React, Vue and Svelte are rendered on a server without a subscription', () => {
  const script = `
    const { createElement } = await import('react');
    const { renderToString } = await import('react-dom/server');
    const react = await import(process.argv[1] + '/react.js');
    const Badge = () => {
      react.useSubscribe('x', () => {});
      return createElement('p', null, react.useLive('x').state + ' ' + react.useStatus().status);
    };
    const texts = [renderToString(createElement(Badge))];

    const { createSSRApp, h } = await import('vue');
    const server = await import('vue/server-renderer');
    const vue = await import(process.argv[1] + '/vue.js');
    const setup = () => {
      const [cart, connection] = [vue.useLive('x'), vue.useStatus()];
      vue.useSubscribe('x', () => {});
      return () => h('p', cart.value.state + ' ' + connection.value.status);
    };
    texts.push(await server.renderToString(createSSRApp({ setup })));

    const svelte = await import(process.argv[1] + '/svelte.js');
    texts.push('<p>' + svelte.useLive('x').current.state + ' ' + svelte.useStatus().current.status + '</p>');

    if (texts.some((text) => text !== '<p>loading idle</p>')) throw new Error(texts.join());
    const { inspect } = await import(process.argv[1] + '/notifier.js');
    if (inspect().subscriptions.length) throw new Error('subscribed on a server');
  `;
  execFileSync(process.execPath, ['--input-type=module', '-e', script, DIST], { cwd: ROOT, stdio: 'pipe' });
});
