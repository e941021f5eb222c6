// Events published over HTTP reach every client that asked for their subject: once, in order, and soon enough.
//
// Clients subscribe first and then announce themselves through the node; publishing begins when all have been heard.
// The last event of each subject says so. So each client knows what it has to receive, and a loss is counted.
import exec from 'k6/execution';
import http from 'k6/http';
import { check } from 'k6';
import { Counter, Gauge, Trend } from 'k6/metrics';
import { faulty } from './lib/fault.js';
import { Ledger } from './lib/ledger.js';
import { Client } from './lib/notifier.js';
import { Plan } from './lib/plan.js';
import * as settings from './lib/settings.js';
import { summary } from './lib/summary.js';

const eventLatency = new Trend('event_latency', true);
const connectTime = new Trend('connect_time', true);
const publishLag = new Trend('publish_lag', true);
const publishingSeconds = new Gauge('publishing_seconds');
const published = new Counter('events_published');
const refused = new Counter('publishes_refused');
const unanswered = new Counter('publishes_unanswered');
const expected = new Counter('events_expected');
const received = new Counter('events_received');
const lost = new Counter('events_lost');
const duplicated = new Counter('events_duplicated');
const outOfOrder = new Counter('events_out_of_order');
const unasked = new Counter('events_unasked');
const disconnects = new Counter('disconnects');
const clientsDone = new Counter('clients_done');

// Connections that one VU opens at a time: a crowd at a door would measure the crowd.
const WAVE = 10;
const ANNOUNCE_EVERY = 0.25;
const LOOK_EVERY = 0.05;
// How often the last event of a subject is tried again: without it the clients would have to wait for QUIET.
const FINAL_TRIES = 20;
// What one VU tells in words; more of the same would hide the summary.
const COMPLAINTS = 3;

// Seconds between two events of one subject.
const interval = settings.subjects / settings.rate;
const maxDuration = `${Math.ceil(
  2 * settings.connectTimeout + settings.settle + settings.duration + interval + 2 * settings.quiet + 30,
)}s`;

const once = (vus, of) => ({ executor: 'per-vu-iterations', exec: of, vus, iterations: 1, maxDuration });
const none = ['count==0'];

export const options = {
  scenarios: {
    clients: once(settings.clientVus, 'listen'),
    publishers: once(settings.publishers, 'publish'),
  },
  thresholds: {
    event_latency: [`p(95)<${settings.latencyP95}`, `p(99)<${settings.latencyP99}`],
    events_lost: none,
    events_duplicated: none,
    events_out_of_order: none,
    events_unasked: none,
    publishes_refused: none,
    publishes_unanswered: none,
    disconnects: none,
    // A metric that was never written to holds any threshold, so nothing above shows that anything was measured.
    clients_done: [`count==${settings.clients}`],
    events_received: ['count>0'],
    checks: ['rate==1'],
  },
  summaryTrendStats: ['count', 'med', 'p(95)', 'p(99)', 'max'],
};

if (settings.selfCheck && settings.eventsPerSubject < 3) {
  throw new Error('SELF_CHECK needs three events per subject; raise RATE or DURATION');
}

export function setup() {
  return { run: Math.random().toString(36).slice(2, 10) };
}

export async function listen({ run }) {
  const plan = new Plan(run);
  const vu = exec.scenario.iterationInTest;
  const clock = new Clock();
  const listeners = [];
  for (let client = vu; client < settings.clients; client += settings.clientVus) {
    listeners.push(new Listener(client, plan, clock));
  }
  for (let i = 0; i < listeners.length; i += WAVE) {
    try {
      await soon(Promise.all(listeners.slice(i, i + WAVE).map((listener) => listener.connect())));
    } catch (error) {
      // Half a crowd would be another test than the one asked for.
      exec.test.abort(`the clients did not all get in: ${error.message}`);
    }
  }

  const start = clock.seconds();
  const lastHeard = () => Math.max(...listeners.map((listener) => listener.lastHeard));
  while (lastHeard() === 0 && clock.seconds() < start + settings.connectTimeout + settings.quiet) {
    listeners[0].client.publish(plan.ready(vu), vu);
    await pause(ANNOUNCE_EVERY);
  }
  const isOver = () =>
    listeners.every((listener) => listener.ledger.complete()) ||
    clock.seconds() > Math.max(lastHeard(), start) + settings.quiet + interval;
  while (!isOver()) await pause(LOOK_EVERY);
  // What arrives now arrives twice.
  await pause(settings.settle);
  listeners.forEach((listener) => listener.finish());
}

export async function publish({ run }) {
  const plan = new Plan(run);
  const clock = new Clock();
  await everybodyReady(plan, clock);
  // In a cluster of brokers a new subscription takes a moment to be known everywhere.
  await pause(settings.settle);

  const start = clock.seconds();
  const mine = [];
  // One subject has one publisher, which waits for each answer: that is what gives its events an order.
  for (let i = exec.scenario.iterationInTest; i < settings.subjects; i += settings.publishers) {
    mine.push(publishInOrder(plan.subjects[i], nodeOf(i), start + i / settings.rate, clock));
  }
  await Promise.all(mine);
  publishingSeconds.add(clock.seconds() - start);
}

class Listener {
  constructor(number, plan, clock) {
    this.number = number;
    this.clock = clock;
    this.patterns = plan.patterns(number);
    const subjects = plan.expectedOf(this.patterns);
    this.ledger = new Ledger(subjects, settings.eventsPerSubject);
    this.lastHeard = 0;
    this.connected = true;
    const hear = (subject, data) => this.hear(subject, data);
    this.take = number === 0 ? faulty(subjects[0], hear) : hear;
  }

  async connect() {
    const begun = this.clock.seconds();
    this.client = new Client(nodeOf(this.number), {
      name: `loadtest-${this.number}`,
      subscriptions: this.patterns,
      onEvent: ({ subject, data }) => this.take(subject, data),
      onRefusal: ({ code, message }) => complain(`client ${this.number} was refused: ${code}: ${message}`),
      onClose: (code, reason) => this.lose(code, reason),
    });
    await this.client.welcomed;
    connectTime.add((this.clock.seconds() - begun) * 1000);
    await this.client.ready;
  }

  hear(subject, data) {
    const now = this.clock.seconds();
    this.lastHeard = now;
    if (this.ledger.hear(subject, data)) eventLatency.add((now - data.at) * 1000);
  }

  lose(code, reason) {
    this.connected = false;
    disconnects.add(1);
    complain(`client ${this.number} was disconnected: ${code} ${reason}`);
  }

  finish() {
    const balance = this.ledger.balance();
    expected.add(balance.expected);
    received.add(balance.received);
    lost.add(balance.lost);
    duplicated.add(balance.duplicated);
    outOfOrder.add(balance.outOfOrder);
    unasked.add(balance.unasked);
    clientsDone.add(1);
    check(this, {
      'client stayed connected': () => this.connected,
      'client received everything once and in order': () =>
        balance.lost + balance.duplicated + balance.outOfOrder + balance.unasked === 0,
    });
    this.client.close();
  }
}

// Seconds since the run began. All VUs of a k6 process share it, and it is finer than the millisecond of Date.now().
class Clock {
  constructor() {
    // Held, because looking it up costs twenty times as much as reading it.
    this.instance = exec.instance;
  }

  seconds() {
    return this.instance.currentTestRunDuration / 1000;
  }
}

async function everybodyReady(plan, clock) {
  const heard = new Set();
  const client = new Client(nodeOf(0), {
    name: 'loadtest-publisher',
    subscriptions: [plan.allReady],
    onEvent: ({ data }) => heard.add(data),
  });
  const deadline = clock.seconds() + settings.connectTimeout;
  while (heard.size < settings.clientVus) {
    if (clock.seconds() > deadline) {
      exec.test.abort(`only ${heard.size} of ${settings.clientVus} VUs had their clients subscribed in time`);
    }
    await pause(LOOK_EVERY);
  }
  client.close();
}

async function publishInOrder(subject, node, first, clock) {
  const padding = 'x'.repeat(settings.payload);
  const unsure = [];
  let n = 1;
  // A refused event does not exist, so its sequence is free for the next one. Of an unanswered one nobody knows.
  const send = async (final) => {
    const data = { n, at: clock.seconds(), ...(final && { final, unsure }), padding };
    const answer = await http.asyncRequest('POST', `${node}/v1/publish/${subject}`, JSON.stringify(data), {
      headers: { 'content-type': 'application/json' },
      tags: { name: 'publish' },
    });
    const accepted = answer.status === 200;
    check(answer, { 'publish was accepted': () => accepted });
    if (accepted) published.add(1);
    else (answer.status === 0 ? unanswered : refused).add(1);
    if (answer.status === 0) unsure.push(n);
    if (accepted || answer.status === 0) n += 1;
    return accepted;
  };

  for (let i = 1; i < settings.eventsPerSubject; i++) {
    const due = first + (i - 1) * interval;
    await pause(due - clock.seconds());
    publishLag.add(Math.max(0, clock.seconds() - due) * 1000);
    await send(false);
  }
  await pause(first + (settings.eventsPerSubject - 1) * interval - clock.seconds());
  for (let tries = 0; tries < FINAL_TRIES && !(await send(true)); tries++) await pause(ANNOUNCE_EVERY);
}

// Every VU has this module to itself, and so its own count.
let complaints = 0;
function complain(text) {
  if (complaints++ < COMPLAINTS) console.warn(text);
}

function nodeOf(number) {
  return settings.nodes[number % settings.nodes.length];
}

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, seconds * 1000)));
}

// Like the promise, but not for ever.
function soon(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    const why = new Error(`no welcome, or not subscribed, within ${settings.connectTimeout} s`);
    timer = setTimeout(() => reject(why), settings.connectTimeout * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function handleSummary(data) {
  const files = { stdout: summary(data) };
  if (settings.summaryJson) files[settings.summaryJson] = JSON.stringify(data, null, 2);
  return files;
}
