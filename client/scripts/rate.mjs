// How many events per second reach a page: `node scripts/rate.mjs [NAME..]`, or `make client-rate`. A page without a debugger
// measures itself, from its first event to its last. Beside the library: a bare WebSocket that parses the same frames, both
// with one event per message too, and centrifuge-js where CENTRIFUGO names a Centrifugo.
//
// EVENTS (100,000) and RUNS (3, after one that does not count) make it longer. NOTIFIER_BIN should be a release build.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { centrifugo, NATS_PORT, notifier, publishToCentrifugo, publishToNats } from './rate/servers.mjs';
import { Pages } from './rate/pages.mjs';
import { splitter } from './rate/splitter.mjs';

const EVENTS = Number(process.env.EVENTS ?? 100_000);
const RUNS = Number(process.env.RUNS ?? 3);
/** A page that has not heard all by then has lost some. */
const LONGEST_MS = 120_000;

const folder = mkdtempSync(join(tmpdir(), 'notifier-rate-'));
const ends = [() => rmSync(folder, { recursive: true, force: true })];
const results = [];
try {
  const node = await notifier(folder, ends);
  const single = await splitter(node, ends);
  const natural = { node, publish: () => publishToNats(NATS_PORT, EVENTS) };
  const contenders = {
    bare: { page: 'bare', ...natural },
    library: { page: 'library', ...natural },
    'bare, one event per message': { page: 'bare', ...natural, node: single },
    'library, one event per message': { page: 'library', ...natural, node: single },
  };
  if (process.env.CENTRIFUGO) {
    const url = await centrifugo(folder, ends);
    contenders['centrifuge-js'] = { page: 'centrifuge', node: url, publish: () => publishToCentrifugo(url, EVENTS) };
  }
  const asked = process.argv.slice(2);
  const chosen = Object.entries(contenders).filter(([name]) => !asked.length || asked.includes(name));
  const pages = await Pages.start(folder, EVENTS, ends);
  // Each in turn, so that what changes on the machine meanwhile changes for all.
  for (let run = 0; run <= RUNS; run++) {
    for (const [name, { page, node: url, publish }] of chosen) {
      const shown = await pages.open(page, url);
      const began = performance.now();
      await publish();
      const published = performance.now() - began;
      const { ms, messages } = await shown.result(LONGEST_MS);
      shown.close();
      if (run) results.push({ name, rate: (EVENTS / ms) * 1_000, perMessage: EVENTS / messages, publishing: (EVENTS / published) * 1_000 });
    }
  }
  console.log(`${EVENTS} events, ${RUNS} runs, Node ${process.version}`);
  console.log('| page | events/s: median | lowest to highest | events per message | published/s, lowest |');
  console.log('|---|---|---|---|---|');
  const whole = (number) => Math.round(number).toLocaleString('en');
  for (const [name] of chosen) {
    const runs = results.filter((one) => one.name === name).sort((a, b) => a.rate - b.rate);
    const [first, middle, last] = [runs[0], runs[Math.floor(runs.length / 2)], runs.at(-1)];
    const slowest = Math.min(...runs.map(({ publishing }) => publishing));
    const perMessage = Number.isFinite(middle.perMessage) ? middle.perMessage.toFixed(1) : '-';
    console.log(`| ${name} | ${whole(middle.rate)} | ${whole(first.rate)} to ${whole(last.rate)} | ${perMessage} | ${whole(slowest)} |`);
  }
} finally {
  for (const end of ends.reverse()) await end();
}
