// The course of every scenario: clients subscribe and announce themselves through the node; when all have been heard,
// events are published over HTTP at a fixed rate. The last event of each subject says so, so each client knows which events
// it has to receive, and a loss is counted. Scenarios differ in their sizes, and in what becomes of the clients meanwhile.
import exec from 'k6/execution';
import { checkFault } from './fault.js';
import { Listener } from './listener.js';
import { publishingSeconds, thresholds } from './measures.js';
import { Client } from './notifier.js';
import { Plan } from './plan.js';
import { everybodyReady, interval, publishInOrder } from './publisher.js';
import { configure, settings } from './settings.js';
import { summaries } from './summary.js';
import { Clock, pause, within } from './time.js';

// Connections that one VU opens at a time: a crowd at a door would measure the crowd.
const WAVE = 10;
const ANNOUNCE_EVERY = 0.25;
const LOOK_EVERY = 0.05;

export function scenario(name, defaults) {
  configure(defaults);
  checkFault();
  const { clients, connectTimeout, duration, quiet, settle } = settings;
  const seconds = 2 * connectTimeout + clients / 10 + settle + duration + interval() + 2 * quiet;
  // Slow readers are still reading when all is published.
  const maxDuration = `${Math.ceil(seconds + 60 + (settings.slowPercent > 0 ? 2 * duration : 0))}s`;
  const once = (vus, of) => ({ executor: 'per-vu-iterations', exec: of, vus, iterations: 1, maxDuration });
  const options = {
    scenarios: { clients: once(settings.clientVus, 'listen'), publishers: once(settings.publishers, 'publish') },
    thresholds: { ...thresholds(), checks: ['rate==1'] },
    summaryTrendStats: ['count', 'med', 'p(95)', 'p(99)', 'max'],
  };
  const setup = () => ({ run: Math.random().toString(36).slice(2, 10) });
  return { options, setup, listen, publish, handleSummary: (data) => summaries(name, data) };
}

async function listen({ run }) {
  const plan = new Plan(run);
  const vu = exec.scenario.iterationInTest;
  const clock = new Clock();
  const listeners = [];
  for (let client = vu; client < settings.clients; client += settings.clientVus) {
    listeners.push(new Listener(client, plan, clock));
  }
  const announcer = new Client(settings.nodes[vu % settings.nodes.length], { name: 'loadtest-announcer' });
  announcer.connect();
  try {
    await within(settings.connectTimeout, announcer.welcomed, 'a welcome');
    for (let i = 0; i < listeners.length; i += WAVE) {
      await Promise.all(listeners.slice(i, i + WAVE).map((listener) => listener.connect()));
    }
  } catch (error) {
    // Half a crowd would be another test than the one asked for.
    exec.test.abort(`the clients did not all get in: ${error.message}`);
  }

  const moving = listeners.filter(({ role }) => role === 'moving').map((listener) => listener.move());
  const start = clock.seconds();
  const lastHeard = () => Math.max(...listeners.map((listener) => listener.lastHeard));
  // The other VUs may still be connecting theirs.
  const patience = settings.connectTimeout + settings.clients / 20 + settings.quiet;
  while (lastHeard() === 0 && clock.seconds() < start + patience) {
    announcer.publish(plan.ready(vu), vu);
    await pause(ANNOUNCE_EVERY);
  }
  announcer.close();
  const isOver = () =>
    listeners.every((listener) => listener.ledger.complete()) ||
    clock.seconds() > Math.max(lastHeard(), start) + settings.quiet + interval();
  while (!isOver()) await pause(LOOK_EVERY);
  // An event that arrives now arrives twice.
  await pause(settings.settle);
  listeners.forEach((listener) => listener.finish());
  await Promise.all(moving);
}

async function publish({ run }) {
  const plan = new Plan(run);
  const clock = new Clock();
  await everybodyReady(plan, clock);
  // In a cluster of brokers a new subscription takes a moment to be known everywhere.
  await pause(settings.settle);

  const start = clock.seconds();
  const mine = [];
  for (let i = exec.scenario.iterationInTest; i < settings.subjects; i += settings.publishers) {
    mine.push(publishInOrder(plan.subjects[i], i, start, clock));
  }
  await Promise.all(mine);
  publishingSeconds.add(clock.seconds() - start);
}
