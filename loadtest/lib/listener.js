// One measured client: connects, comes and goes as its role says, and keeps the account of what it heard.
import { check } from 'k6';
import { Cursors } from './cursors.js';
import { faulty } from './fault.js';
import { Ledger } from './ledger.js';
import * as measures from './measures.js';
import { Client, Poller } from './notifier.js';
import { settings } from './settings.js';
import { complain, pause, within } from './time.js';

// Tries of a client that comes back: a node may take in so many per second, and no more.
const TRIES = 20;

export class Listener {
  constructor(number, plan, clock) {
    this.number = number;
    this.clock = clock;
    this.role = plan.role(number);
    const subscriptions = plan.patterns(number);
    const subjects = plan.expectedOf(subscriptions);
    this.ledger = new Ledger(subjects, settings.eventsPerSubject);
    this.lastHeard = 0;
    this.stayedConnected = true;
    this.over = false;
    this.isVictim = number === victim(plan);
    const options = {
      name: `loadtest-${number}`,
      encoding: plan.encoding(number),
      subscriptions,
      onEvent: (event, replayed) => this.hear(event, replayed),
      onGap: (gap) => this.miss(gap),
      onRefusal: ({ code, message }) => complain(`client ${number} was refused: ${code}: ${message}`),
      onClose: (code, reason) => this.lose(code, reason),
      wrap: faulty(this.isVictim, subjects[0], () => this.lose(1006, 'a fault on purpose')),
    };
    const nodes = this.role === 'slow' ? settings.slowNodes : settings.nodes;
    const node = nodes[number % nodes.length];
    this.client = this.role === 'poll' ? new Poller(node, options) : new Client(node, options);
    this.latency = { poll: measures.pollLatency, slow: measures.slowLatency }[this.role] ?? measures.eventLatency;
  }

  // Welcomed and live; rejects where that takes too long. True where a resume missed nothing.
  async connect() {
    const begun = this.clock.seconds();
    this.client.connect();
    await within(settings.connectTimeout, this.client.welcomed, 'a welcome');
    measures.connectTime.add((this.clock.seconds() - begun) * 1000);
    return within(settings.connectTimeout, this.client.ready, 'a confirmed subscription');
  }

  // Comes and goes until the end: at random times, or with all others at once.
  async move() {
    const { stay, away, stormEvery } = settings;
    // The first event tells all VUs at once that publishing has begun.
    while (this.lastHeard === 0 && !this.over) await pause(0.05);
    let storm = this.lastHeard;
    while (!this.over) {
      storm += stormEvery;
      await this.waitUntil(stormEvery > 0 ? storm : this.clock.seconds() + stay * (0.5 + Math.random()));
      // A client that has all there will be has nothing to resume.
      if (this.over || this.ledger.complete()) return;
      this.client.close();
      await pause(stormEvery > 0 ? 0 : away * (0.5 + Math.random()));
      await this.comeBack();
    }
  }

  async waitUntil(moment) {
    while (!this.over && this.clock.seconds() < moment) await pause(Math.min(0.1, moment - this.clock.seconds()));
  }

  async comeBack() {
    if (settings.selfCheck === 'forget') this.client.cursors = new Cursors(this.client.subscriptions);
    const begun = this.clock.seconds();
    for (let tries = 1; ; tries++) {
      try {
        measures.resumes.add(await this.connect());
        measures.backTime.add((this.clock.seconds() - begun) * 1000);
        return;
      } catch (error) {
        this.client.close();
        if (tries === TRIES || this.over) {
          measures.resumes.add(false);
          complain(`client ${this.number} did not come back: ${error.message}`);
          return;
        }
        await pause(0.2 + Math.random());
      }
    }
  }

  hear({ subject, data }, replayed) {
    const now = this.clock.seconds();
    this.lastHeard = now;
    if (!this.ledger.hear(subject, data)) return;
    if (replayed) measures.replayed.add(1);
    else this.latency.add((now - data.at) * 1000);
  }

  miss({ subject, reason }) {
    measures.gaps.add(1);
    complain(`client ${this.number} was told of a gap in ${subject}: ${reason}`);
  }

  lose(code, reason) {
    if (this.over) return;
    this.stayedConnected = false;
    measures.disconnects.add(1);
    complain(`client ${this.number} was disconnected: ${code} ${reason}`);
  }

  finish() {
    this.over = true;
    this.client.close();
    if (settings.selfCheck === 'absent' && this.isVictim) return;
    const balance = this.ledger.balance();
    measures.expected.add(balance.expected);
    measures.received.add(balance.received);
    measures.lost.add(balance.lost);
    measures.duplicated.add(balance.duplicated);
    measures.outOfOrder.add(balance.outOfOrder);
    measures.unasked.add(balance.unasked);
    measures.clientsDone.add(1);
    check(this, {
      'client stayed connected': () => this.stayedConnected,
      'client received everything once and in order': () =>
        balance.lost + balance.duplicated + balance.outOfOrder + balance.unasked === 0,
    });
  }
}

// The client to whom wrong is done, where that is asked for: the first one that stays.
function victim(plan) {
  for (let number = 0; number < settings.clients; number++) if (plan.role(number) === 'stay') return number;
  return 0;
}
