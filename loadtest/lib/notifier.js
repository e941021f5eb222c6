// One client of a node: the subprotocol notifier.v1.json over k6's WebSocket. Free of metrics, so that every script
// can use it and measure what it likes.
import { WebSocket } from 'k6/websockets';

const OPEN = 1;

export class Client {
  // `subscriptions`: patterns that go out with `connect`, in the same round trip.
  // `onEvent(event)`: each event, in the order of arrival.
  // `onRefusal(error)`: the node refused something that was asked of it, an announcement for one.
  // `onClose(code, reason)`: the connection ended and we did not ask for it.
  constructor(node, { name, subscriptions = [], onEvent = () => {}, onRefusal = () => {}, onClose = () => {} }) {
    this.onEvent = onEvent;
    this.onRefusal = onRefusal;
    this.onClose = onClose;
    this.closing = false;
    this.awaited = new Set(subscriptions);
    this.welcomed = new Promise((resolve, reject) => Object.assign(this, { welcome: resolve, unwelcome: reject }));
    // Resolves when every subscription is live: what is published from then on has to arrive.
    this.ready = new Promise((resolve, reject) => Object.assign(this, { live: resolve, dead: reject }));
    // Whoever waits for one of the two need not look at the other.
    this.welcomed.catch(() => {});
    this.ready.catch(() => {});

    this.socket = new WebSocket(`${node.replace(/^http/, 'ws')}/v1/ws`, ['notifier.v1.json']);
    this.socket.onopen = () =>
      this.send({ connect: { client: { name }, subscriptions: subscriptions.map((subject) => ({ subject })) } });
    this.socket.onmessage = (message) => this.take(message.data);
    this.socket.onerror = (error) => this.fail(error.error || 'the connection failed');
    this.socket.onclose = (close) => {
      this.fail(`closed with ${close.code} ${close.reason || ''}`.trim());
      if (!this.closing) this.onClose(close.code, close.reason);
    };
  }

  publish(subject, data) {
    this.send({ publish: { subject, event: { data } } });
  }

  close() {
    this.closing = true;
    this.socket.close();
  }

  send(frame) {
    if (this.socket.readyState === OPEN) this.socket.send(JSON.stringify(frame));
  }

  // One WebSocket message carries as many lines as were waiting.
  take(text) {
    for (const line of text.split('\n')) {
      if (line !== '') this.handle(JSON.parse(line));
    }
  }

  handle(frame) {
    if (frame.event) {
      this.onEvent(frame.event);
    } else if (frame.ping) {
      this.send({ pong: {} });
    } else if (frame.welcome) {
      this.welcome(frame.welcome);
      if (this.awaited.size === 0) this.live();
    } else if (frame.subscribed) {
      this.awaited.delete(frame.subscribed.subject);
      if (this.awaited.size === 0) this.live();
    } else if (frame.error) {
      this.onRefusal(frame.error);
      this.fail(`${frame.error.code}: ${frame.error.message}`);
    }
    // Frames of later versions are passed over, as the protocol asks.
  }

  // Nothing happens once both promises are settled.
  fail(why) {
    this.unwelcome(new Error(why));
    this.dead(new Error(why));
  }
}

// Whether a NATS pattern matches a concrete subject: `*` stands for one token, a final `>` for one or more.
export function matches(pattern, subject) {
  const wanted = pattern.split('.');
  const tokens = subject.split('.');
  for (let i = 0; i < wanted.length; i++) {
    if (i >= tokens.length) return false;
    if (wanted[i] === '>') return true;
    if (wanted[i] !== '*' && wanted[i] !== tokens[i]) return false;
  }
  return wanted.length === tokens.length;
}
