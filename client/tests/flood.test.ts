// A page under 10,000 events per second, by a node that only sends: bounded memory, no long task, and nothing lost.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { launch, Site, visit } from './browser.js';
import { LIMITS } from '../src/testing/session.js';
import { ScriptedNode } from './scripted.js';
import { pause, until } from './wait.js';

const SECONDS = 5;
const PER_SECOND = 10_000;
/** As a node joins them: what has come in a few milliseconds. */
const PER_MESSAGE = 50;

let site: Site;
let browser: Browser;
let node: ScriptedNode;
before(async () => {
  [site, browser, node] = await Promise.all([Site.start(), launch(), ScriptedNode.start()]);
});
after(async () => {
  await browser?.close();
  site?.stop();
  node?.stop();
});

const SOURCE = `
  import * as library from '@notifier/client';
  const flood = { seqs: 0, disordered: 0, changes: 0, frames: 0, most: 0, long: [], sizes: [] };
  let task = 0;
  Object.assign(globalThis, { library, flood });
  let last = 0;
  library.subscribe('d.>', ({ seq }) => {
    flood.seqs++;
    if (!task++) queueMicrotask(() => (task = 0));
    flood.most = Math.max(flood.most, task);
    if (seq !== last + 1) flood.disordered++;
    last = seq;
  });
  const store = library.live('d.*');
  const seen = document.body.appendChild(document.createElement('p'));
  store.subscribe(({ value }) => {
    flood.changes++;
    seen.textContent = value?.number;
  });
  new PerformanceObserver((list) => flood.long.push(...list.getEntries().map(({ duration }) => Math.round(duration)))).observe({ type: 'longtask' });
  const frame = () => {
    flood.frames++;
    if (flood.frames % 30 === 0) flood.sizes.push(performance.memory.usedJSHeapSize);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
`;

interface Flood {
  seqs: number;
  disordered: number;
  changes: number;
  frames: number;
  /** Events that were handed out within one task. */
  most: number;
  long: number[];
  sizes: number[];
}

void it('a page under 10,000 events per second loses none, stays responsive, and shows its stores once per frame', { timeout: 60_000 }, async (t) => {
  const address = await site.page('flood', [{ source: SOURCE, version: '1.0.0' }], node.url);
  await visit(browser, address, async (page) => {
    const peer = await node.peer(0);
    await peer.welcome({ limits: LIMITS });
    const position = { stream: 'S', epoch: 'E', seq: 0 };
    await peer.subscribed('d.>', { delivery: 'durable', positions: [position] });
    await peer.subscribed('d.*', { delivery: 'durable', positions: [position] });
    const { id } = await peer.next('fetch');
    peer.send({ replyTo: id, fetched: { positions: [position] } });
    const flood = (): Promise<Flood> => page.evaluate(() => (globalThis as unknown as { flood: Flood }).flood);
    await pause(500);
    const start = await flood();
    const begun = Date.now();
    let seq = 0;
    while (seq < SECONDS * PER_SECOND) {
      const due = Math.min(SECONDS * PER_SECOND, ((Date.now() - begun) / 1_000) * PER_SECOND);
      while (seq < due) {
        peer.send(...Array.from({ length: PER_MESSAGE }, () => ({
          event: { subject: `d.${seq % 100}`, stream: 'S', seq: ++seq, id: `event-${seq}`, time: 1, data: { number: seq, text: 'x'.repeat(100) } },
        })));
      }
      await pause(5);
    }
    await until(async () => (await flood()).seqs === SECONDS * PER_SECOND, 'all events');
    const took = Date.now() - begun;
    const end = await flood();
    const [changes, frames] = [end.changes - start.changes, end.frames - start.frames];
    const long = end.long.slice(start.long.length);
    const grown = Math.max(...end.sizes) - Math.min(...end.sizes);
    t.diagnostic(`${Math.round((seq / took) * 1_000)} events per second, ${frames} frames, ${changes} changes, long tasks ${JSON.stringify(long)}, heap within ${grown} bytes`);
    assert.equal(end.disordered, 0);
    assert.ok(changes > 30 && changes <= frames + 2, `${changes} changes in ${frames} frames`);
    // One task hands out one message and no more. How long that takes is seen above: a busy machine makes tasks long, too,
    // so only a page that does little else fails here.
    assert.equal(end.most, PER_MESSAGE);
    assert.ok(long.reduce((sum, ms) => sum + ms, 0) < took / 2, `long tasks: ${long.join()}`);
    assert.ok(grown < 30_000_000, `grown by ${grown} bytes`);
    assert.equal(await page.textContent('p'), String(SECONDS * PER_SECOND));
  });
});
