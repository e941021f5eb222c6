// Who subscribes to what. Everybody can compute it, so every client knows what it has to receive.
import { matches } from './notifier.js';
import * as settings from './settings.js';

export class Plan {
  // `run` keeps runs apart that share a broker.
  constructor(run) {
    this.base = `${settings.prefix}.${run}`;
    // Several tokens, so that `*` and `>` both have something to stand for.
    const groups = Math.ceil(Math.sqrt(settings.subjects));
    this.subjects = Array.from({ length: settings.subjects }, (_, i) => `${this.base}.event.g${i % groups}.s${i}`);
    this.known = new Map();
    this.allReady = `${this.base}.ready.*`;
  }

  ready(vu) {
    return `${this.base}.ready.${vu}`;
  }

  // The patterns of one client. Wildcard clients are spread evenly among the others.
  patterns(client) {
    const wildcardsBefore = (i) => Math.floor((i * settings.wildcardPercent) / 100);
    const wildcards = wildcardsBefore(client);
    if (wildcardsBefore(client + 1) > wildcards) return this.wildcard(wildcards);
    const first = (client - wildcards) * settings.subscriptions;
    return Array.from({ length: settings.subscriptions }, (_, i) => this.subjects[(first + i) % this.subjects.length]);
  }

  wildcard(number) {
    const kinds = 4;
    const subject = this.subjects[Math.floor(number / kinds) % this.subjects.length];
    const [group, leaf] = subject.split('.').slice(-2);
    const all = `${this.base}.event.>`;
    const ofGroup = `${this.base}.event.${group}.*`;
    return [
      [all],
      [ofGroup],
      [`${this.base}.event.*.${leaf}`],
      // Each event matches up to three times and has to arrive once.
      [ofGroup, subject, all],
    ][number % kinds];
  }

  // Each subject once, however many of the patterns match it.
  expectedOf(patterns) {
    return [...new Set(patterns.flatMap((pattern) => this.matching(pattern)))];
  }

  // Remembered: with thousands of clients, matching for each of them would take longer than the test.
  matching(pattern) {
    if (!this.known.has(pattern)) {
      this.known.set(pattern, this.subjects.filter((subject) => matches(pattern, subject)));
    }
    return this.known.get(pattern);
  }
}
