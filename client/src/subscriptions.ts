// All subscriptions of a page: one on the wire for each pattern, however many handlers share it. Routes what comes to them,
// by the rules of docs/protocol.md, "Delivery" and "Positions and resuming".
import type { Connection } from './connection.js';
import { Consumer, type Read, type Sink, type Wish } from './consumer.js';
import { Cursor } from './cursor.js';
import { failure, refusal } from './error.js';
import { gapOf, received } from './event.js';
import type { ServerFrame, WireError, WireEvent } from './frames.js';
import { covers } from './subject.js';
import { Trie } from './trie.js';
import type { Gap, Inspection, NotifierEvent } from './types.js';

/** A component that is mounted again at once, or replaced by a sibling, finds its subscription still there. */
const RELEASE_MS = 250;
/** Until a subscription that ended for a reason that passes is asked for again. */
const AGAIN_MS = 1_000;

/** A pattern on one connection. `resumes`: it was asked for with positions. `number`: how often it was confirmed before. */
interface Slot {
  state: 'pending' | 'live' | 'refused';
  id: number;
  resumes: boolean;
  number: number;
  /** The subjects of its replays. */
  replayed: Set<string>;
}


class Subscription {
  readonly cursor = new Cursor();
  readonly slots = new Map<Connection, Slot>();
  /** Replaced, never changed: handlers come and go while a list of them is run through. */
  consumers: readonly Consumer[] = [];
  delivery: string | undefined;
  /** Subjects of `latest` streams that have a value, with their streams. */
  readonly values = new Map<string, string>();
  /** Streams that are known to be `latest`. */
  latest: readonly string[] = [];
  /** How often a node has told its positions. */
  confirmed = 0;
  /** For `inspect()`. */
  events = 0;
  last: NotifierEvent | undefined;
  gaps = 0;
  gap: Gap | undefined;
  begun = false;
  releasable = false;
  timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly pattern: string) {}

  /** The slot that a frame is for: not if it is of an earlier request for the pattern, where the node says which. */
  slot(connection: Connection, replyTo: number | undefined): Slot | undefined {
    const slot = this.slots.get(connection);
    return !replyTo || replyTo === slot?.id ? slot : undefined;
  }

  get state(): Slot['state'] {
    const states = [...this.slots.values()].map((slot) => slot.state);
    return states.find((state) => state === 'live') ?? states.at(-1) ?? 'pending';
  }

  /** Whether a newer connection brings its live events, whose copies nothing else tells apart. */
  isOvertaken(connection: Connection): boolean {
    for (const [other, slot] of this.slots) {
      if (other.generation > connection.generation && slot.state === 'live') return true;
    }
    return false;
  }
}

export class Subscriptions {
  readonly counters = { events: 0, duplicates: 0, gaps: 0 };
  readonly #table = new Map<string, Subscription>();
  readonly #trie = new Trie<Subscription>();
  /** Connections that take subscriptions, and the patterns being given up on each, by the id of the `unsubscribe`. */
  readonly #connections = new Map<Connection, Map<string, number>>();
  readonly #read: Read;

  constructor(read: Read) {
    this.#read = read;
  }

  get size(): number {
    return this.#table.size;
  }

  /** Adds a handler; the returned function takes it away. */
  add(pattern: string, sink: Sink, wish: Wish): () => void {
    let subscription = this.#table.get(pattern);
    if (!subscription) {
      subscription = new Subscription(pattern);
      this.#table.set(pattern, subscription);
      this.#trie.set(pattern, subscription);
    }
    const consumer = new Consumer(sink, wish, !subscription.begun, this.#read);
    subscription.consumers = [...subscription.consumers, consumer];
    subscription.releasable = false;
    clearTimeout(subscription.timer);
    if (subscription.state === 'live') consumer.live(subscription);
    // Its own refusal, should it be one again.
    for (const [connection, { state }] of subscription.slots) if (state === 'refused') subscription.slots.delete(connection);
    for (const connection of this.#connections.keys()) this.#subscribe(subscription, connection);
    return () => this.#remove(pattern, consumer);
  }

  opened(connection: Connection): void {
    this.#connections.set(connection, new Map());
    for (const subscription of this.#table.values()) {
      if (subscription.consumers.length) this.#subscribe(subscription, connection);
    }
  }

  lost(connection: Connection): void {
    this.#connections.delete(connection);
    for (const subscription of [...this.#table.values()]) {
      const slot = subscription.slots.get(connection);
      subscription.slots.delete(connection);
      if (slot?.state !== 'live' || subscription.state === 'live') continue;
      for (const consumer of subscription.consumers) consumer.stale();
    }
  }

  /** Whether the connection carries every subscription, or has refused it. */
  settled(connection: Connection): boolean {
    return [...this.#table.values()].every(
      ({ consumers, slots }) => !consumers.length || (slots.get(connection)?.state ?? 'pending') !== 'pending',
    );
  }

  frame(connection: Connection, frame: ServerFrame): void {
    const { event, replay, ping, gap, subscribed, unsubscribed, refreshed, error } = frame;
    if (event) this.#event(connection, event);
    else if (replay) this.#replay(connection, replay, frame.replyTo);
    else if (subscribed) this.#subscribed(connection, frame);
    else if (unsubscribed) this.#unsubscribed(connection, frame);
    else if (error) this.#error(connection, error, frame.replyTo);
    else if (gap) {
      const subscription = this.#table.get(gap.subject);
      if (!subscription?.slot(connection, frame.replyTo)) return;
      this.counters.gaps++;
      subscription.gaps++;
      const told = (subscription.gap = gapOf(gap));
      if (gap.reason === 'reset' && gap.stream) subscription.cursor.reset(gap.stream, gap.epoch);
      else if (gap.stream && gap.toSeq) subscription.cursor.raise(gap.stream, gap.toSeq);
      for (const consumer of subscription.consumers) consumer.gap(told, subscription);
    } else if (ping?.positions) {
      for (const { slots, cursor } of this.#table.values()) {
        if (slots.get(connection)?.state === 'live') ping.positions.forEach((position) => cursor.checkpoint(position));
      }
    } else if (refreshed) {
      // The new token may grant what the last one did not.
      for (const subscription of this.#table.values()) {
        this.#again(subscription, connection);
      }
    }
  }

  /** How far one subscription has come, or, of all, the least of each stream. */
  cursor(pattern?: string): Cursor | undefined {
    if (pattern !== undefined) return this.#table.get(pattern)?.cursor;
    const least = new Map<string, { stream: string; epoch: string; seq: number }>();
    for (const { cursor } of this.#table.values()) {
      for (const position of cursor.positions()) {
        const { stream, seq } = position;
        if (seq < (least.get(stream)?.seq ?? Infinity)) least.set(stream, position);
      }
    }
    return new Cursor(least.values());
  }

  inspect(): Inspection['subscriptions'] {
    return [...this.#table.values()].map(({ pattern, state, delivery, consumers, cursor, events, last, gaps, gap }) => ({
      subject: pattern,
      state,
      ...(delivery && { delivery }),
      handlers: consumers.length,
      labels: [...new Set(consumers.flatMap(({ wish }) => wish.label ?? []))],
      cursor: cursor.toString(),
      events,
      gaps,
      ...(last && { last }),
      ...(gap && { gap }),
    }));
  }

  #remove(pattern: string, consumer: Consumer): void {
    if (!consumer.open) return;
    consumer.close();
    const subscription = this.#table.get(pattern);
    if (!subscription) return;
    subscription.consumers = subscription.consumers.filter((other) => other !== consumer);
    if (subscription.consumers.length) return;
    subscription.timer = setTimeout(() => {
      subscription.releasable = true;
      this.#release();
    }, RELEASE_MS);
  }

  /**
   * Gives up what nobody needs. A wider pattern stays while anybody needs one that it covers: a node that is told to
   * change between two patterns of one live subject may send an event under way twice, or not at all.
   */
  #release(): void {
    const needed = [...this.#table.values()].filter(({ consumers }) => consumers.length);
    for (const subscription of [...this.#table.values()]) {
      const { pattern, releasable, slots } = subscription;
      if (!releasable || needed.some((other) => covers(pattern, other.pattern))) continue;
      this.#table.delete(pattern);
      this.#trie.delete(pattern);
      for (const connection of [...slots.keys()]) this.#giveUp(subscription, connection);
    }
  }

  /** Sends it, unless it is there, or the connection has still to confirm that it gave up the same pattern. */
  #subscribe(subscription: Subscription, connection: Connection): void {
    const { pattern, slots, cursor } = subscription;
    if (slots.has(connection) || this.#connections.get(connection)?.has(pattern)) return;
    const after = cursor.positions();
    const resumes = after.length > 0;
    const id = connection.send({ subscribe: { subject: pattern, after: resumes ? after : undefined } });
    slots.set(connection, { state: 'pending', id, resumes, number: subscription.confirmed, replayed: new Set() });
    subscription.begun = true;
  }

  /** From here on nothing counts of the pattern until `unsubscribed` has come. */
  #giveUp({ pattern, slots }: Subscription, connection: Connection): void {
    const slot = slots.get(connection);
    slots.delete(connection);
    const id = slot && slot.state !== 'refused' ? connection.send({ unsubscribe: { subject: pattern } }) : 0;
    if (id) this.#connections.get(connection)?.set(pattern, id);
  }

  #again(subscription: Subscription, connection: Connection): void {
    if (subscription.slots.get(connection)?.state !== 'refused') return;
    subscription.slots.delete(connection);
    const stands = this.#connections.has(connection) && this.#table.get(subscription.pattern) === subscription;
    if (stands && subscription.consumers.length) this.#subscribe(subscription, connection);
  }

  #event(connection: Connection, event: WireEvent): void {
    const { stream, seq = 0 } = event;
    let told: ReturnType<typeof received> | undefined;
    for (const subscription of this.#trie.match(event.subject)) {
      if (subscription.slots.get(connection)?.state !== 'live') continue;
      // The cursor first: whatever a handler does now, it does behind this event.
      const fresh = stream ? subscription.cursor.raise(stream, seq) : !subscription.isOvertaken(connection);
      if (!fresh) this.counters.duplicates++;
      else this.#tell(subscription, (told ??= received(event)));
    }
  }

  #replay(connection: Connection, replay: NonNullable<ServerFrame['replay']>, replyTo: number | undefined): void {
    const { subject, events = [], snapshot, epoch, complete } = replay;
    const subscription = this.#table.get(subject);
    const stream = events[0]?.stream;
    for (const event of events) {
      // Asked anew each time: a handler may have given the subscription up.
      const slot = subscription?.slot(connection, replyTo);
      if (!subscription || !slot) return;
      slot.replayed.add(event.subject);
      // Known early, it lets a page that is cut off in its first replay go on from there.
      if (epoch && stream && event === events[0]) subscription.cursor.join({ stream, epoch, seq: 0 });
      if (!event.stream || !subscription.cursor.raise(event.stream, event.seq ?? 0)) this.counters.duplicates++;
      else this.#tell(subscription, received(event, snapshot, !snapshot));
    }
    const slot = complete && subscription?.slot(connection, replyTo);
    if (!subscription || !slot) return;
    for (const [known, of] of subscription.values) {
      // Without a sequence, as nobody knows when it ended.
      if (of === replay.stream && !slot.replayed.has(known)) this.#tell(subscription, received({ subject: known, gone: 'unknown', time: Date.now() }));
    }
  }

  #tell(subscription: Subscription, event: NotifierEvent): void {
    this.counters.events++;
    const { subject, stream, snapshot, gone } = event;
    if (gone) subscription.values.delete(subject);
    else if (stream && (snapshot || subscription.latest.includes(stream))) subscription.values.set(subject, stream);
    subscription.events++;
    subscription.last = event;
    for (const consumer of subscription.consumers) consumer.take(event);
  }

  #subscribed(connection: Connection, { subscribed, replyTo }: ServerFrame): void {
    if (!subscribed) return;
    const { subject, delivery, positions = [] } = subscribed;
    const subscription = this.#table.get(subject);
    const slot = subscription?.slot(connection, replyTo);
    if (!subscription || !slot) return;
    if (positions.length && !slot.resumes && slot.state === 'pending' && slot.number !== subscription.confirmed) {
      // It has gone live on another connection since it was asked for here: ask again, with what is known now.
      this.#giveUp(subscription, connection);
      return;
    }
    slot.state = 'live';
    slot.replayed.clear();
    const latest = positions.filter((position) => position.delivery === 'latest');
    if (positions.length) subscription.latest = latest.map(({ stream }) => stream);
    subscription.confirmed += positions.length ? 1 : 0;
    subscription.delivery = delivery;
    for (const position of positions) subscription.cursor.join(position);
    for (const consumer of subscription.consumers) consumer.live(subscription);
  }

  #unsubscribed(connection: Connection, { unsubscribed, replyTo }: ServerFrame): void {
    const pattern = unsubscribed?.subject ?? '';
    const subscription = this.#table.get(pattern);
    const given = this.#connections.get(connection);
    if (replyTo && given?.get(pattern) === replyTo) {
      given.delete(pattern);
      if (subscription?.consumers.length) this.#subscribe(subscription, connection);
    } else if (subscription?.slot(connection, replyTo)) {
      this.#refuse(subscription, connection, failure('forbidden', `no grant for ${pattern} any more`));
    }
  }

  #error(connection: Connection, error: WireError, replyTo: number | undefined): void {
    const told = refusal(error);
    for (const subscription of this.#table.values()) {
      const slot = subscription.slots.get(connection);
      if (!slot) continue;
      if (error.code === 'broker_refused' && error.subject === subscription.pattern) {
        // It stays: the node asks its broker again by itself, and `subscribed` follows.
        for (const consumer of subscription.consumers) consumer.error(told);
      } else if (replyTo === slot.id && slot.state !== 'refused') {
        this.#refuse(subscription, connection, told);
        const wait = error.retryAfterMs ?? AGAIN_MS * (1 + Math.random());
        if (told.retryable) setTimeout(() => this.#again(subscription, connection), wait);
        return;
      }
    }
  }

  #refuse(subscription: Subscription, connection: Connection, error: ReturnType<typeof refusal>): void {
    const slot = subscription.slots.get(connection);
    if (slot) slot.state = 'refused';
    for (const consumer of subscription.consumers) consumer.error(error);
  }
}
