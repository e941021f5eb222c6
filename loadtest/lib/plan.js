// The subscriptions of each client. Everybody can compute them, so every client knows which events it has to receive.
import { matches } from './notifier.js';
import { settings } from './settings.js';

export class Plan {
  // `run` keeps runs apart that share a broker.
  constructor(run) {
    const stored = Math.round((settings.subjects * settings.storedPercent) / 100);
    this.trees = [
      tree(`${settings.subjectPrefix}.${run}`, settings.subjects - stored),
      tree(`${settings.storedPrefix}.${run}`, stored),
    ].filter(({ subjects }) => subjects.length > 0);
    this.subjects = this.trees.flatMap(({ subjects }) => subjects);
    this.stored = this.trees.at(-1).subjects.slice(0, stored);
    this.known = new Map();
    this.base = `${settings.subjectPrefix}.${run}`;
    this.allReady = `${this.base}.ready.*`;
  }

  ready(vu) {
    return `${this.base}.ready.${vu}`;
  }

  // The behaviour of a client: it stays, or polls, or comes and goes, or reads slowly. Spread evenly over the numbers.
  role(client) {
    const place = 100 * ((client * 0.6180339887498949) % 1);
    if (place < settings.pollPercent) return 'poll';
    if (place < settings.pollPercent + settings.movingPercent) return 'moving';
    if (place < settings.pollPercent + settings.movingPercent + settings.slowPercent) return 'slow';
    return 'stay';
  }

  encoding(client) {
    return 100 * ((client * 0.7548776662466927) % 1) < settings.protoPercent ? 'proto' : 'json';
  }

  // The patterns of one client. Wildcard clients are spread evenly among the others.
  patterns(client) {
    // Only of stored subjects does a client get all that came while it was away. Patterns that overlap would each be replayed.
    if (this.role(client) !== 'stay') return some(this.stored, client);
    const wildcardsBefore = (i) => Math.floor((i * settings.wildcardPercent) / 100);
    const wildcards = wildcardsBefore(client);
    if (wildcardsBefore(client + 1) > wildcards) return this.wildcard(wildcards);
    return some(this.subjects, client - wildcards);
  }

  wildcard(number) {
    const { base, subjects } = this.trees[number % this.trees.length];
    const kinds = 4;
    const kind = Math.floor(number / this.trees.length) % kinds;
    const subject = subjects[Math.floor(number / kinds) % subjects.length];
    const [group, leaf] = subject.split('.').slice(-2);
    const all = `${base}.event.>`;
    const ofGroup = `${base}.event.${group}.*`;
    return [
      [all],
      [ofGroup],
      [`${base}.event.*.${leaf}`],
      // Each event matches up to three times and has to arrive once.
      [ofGroup, subject, all],
    ][kind];
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

function tree(base, count) {
  // Several tokens, so that `*` and `>` both have something to stand for.
  const groups = Math.ceil(Math.sqrt(count));
  return { base, subjects: Array.from({ length: count }, (_, i) => `${base}.event.g${i % groups}.s${i}`) };
}

function some(subjects, client) {
  if (subjects.length === 0) throw new Error('STORED_PERCENT is 0: clients that poll, move or are slow need some');
  const count = Math.min(settings.subscriptions, subjects.length);
  return Array.from({ length: count }, (_, i) => subjects[(client * count + i) % subjects.length]);
}
