// The old way, for comparison: each component opens a WebSocket of its own, reconnects after a second, and knows nothing
// of what it has missed.
import { subscribe } from '../client/v1/notifier.js';
import { OwnSocket } from './network.js';

const AGAIN_MS = 1_000;
/** What both ways hear comes over different connections: the slower one may be late by so much, milliseconds. */
const LATE_MS = 1_000;

/** Subjects of which each event counts. Of the others a component that comes back gets the next value sooner or later. */
const COUNTED = ['shop.cart.u42', 'shop.order.*'];

/** The components, what each one hears, and whether it shows the cart. */
const COMPONENTS = [
  ['shell', 'shop.deal'],
  ['products', 'shop.price.*'],
  ['cart', 'shop.cart.u42', true],
  ['cart badge', 'shop.cart.u42', true],
  ['stock', 'shop.stock.*'],
  ['orders', 'shop.order.*'],
  ['mini-cart', 'shop.cart.u42', true],
];

/** One component with a socket of its own. */
class Component {
  cart = undefined;
  #heard = new Set();
  /** When the shared connection brought what, by sequence. */
  #expected = new Map();

  constructor([name, subject, showsCart], url) {
    Object.assign(this, { name, subject, showsCart, url });
    if (showsCart) this.load();
    this.connect();
  }

  /** As such components do it: the state once at the beginning, then what comes. */
  async load() {
    const answer = await fetch(`v1/last/${this.subject}`);
    if (answer.ok) this.cart ??= (await answer.json()).event.data.qty;
  }

  connect() {
    const socket = (this.socket = new OwnSocket(this.url, 'notifier.v1.json'));
    socket.onopen = () => {
      socket.send(JSON.stringify({ connect: {} }));
      socket.send(JSON.stringify({ id: 1, subscribe: { subject: this.subject } }));
    };
    socket.onmessage = ({ data }) => data.split('\n').forEach((line) => line && this.take(JSON.parse(line)));
    socket.onclose = () => (this.timer = setTimeout(() => this.connect(), AGAIN_MS));
  }

  take({ ping, subscribed, event }) {
    if (ping) this.socket.send('{"pong":{}}');
    if (subscribed) this.isReady = true;
    if (!event) return;
    this.#heard.add(event.seq);
    if (this.showsCart) this.cart = event.data.qty;
  }

  /** Notes an event that the shared connection has brought, once this component has begun to hear. */
  expect(seq) {
    if (this.isReady) this.#expected.set(seq, performance.now());
  }

  get lost() {
    const late = performance.now() - LATE_MS;
    return [...this.#expected].filter(([seq, since]) => since < late && !this.#heard.has(seq)).length;
  }

  stop() {
    clearTimeout(this.timer);
    this.socket.onclose = null;
    this.socket.close();
  }
}

/** Runs until it is stopped. Lost are stored events that the shared connection has brought and a component has not. */
export class OldWay {
  #subscriptions;

  constructor(url) {
    this.components = COMPONENTS.map((one) => new Component(one, url));
    this.#subscriptions = COUNTED.map((subject) =>
      subscribe(subject, (event) => !event.snapshot && this.#expect(subject, event.seq), { label: 'comparison' }),
    );
  }

  #expect(subject, seq) {
    for (const one of this.components) if (one.subject === subject) one.expect(seq);
  }

  get lost() {
    return this.components.reduce((sum, one) => sum + one.lost, 0);
  }

  stop() {
    this.#subscriptions.forEach((one) => one.unsubscribe());
    this.components.forEach((one) => one.stop());
  }
}
