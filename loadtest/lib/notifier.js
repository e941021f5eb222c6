// One client of a node, over WebSocket (notifier.v1.json and notifier.v1.proto) or by long polls. It resumes: it keeps its
// cursor of each stream and gives it back when it connects again. Free of metrics, so that every scenario can measure what
// it likes.
import http from 'k6/http';
import { WebSocket } from 'k6/websockets';
import { Cursors } from './cursors.js';
import * as proto from './proto.js';

const OPEN = 1;

const encodings = {
  json: {
    encode: JSON.stringify,
    // One WebSocket message carries as many lines as were waiting.
    decode: (text) => text.split('\n').filter(Boolean).map((line) => JSON.parse(line)),
  },
  proto,
};

const nothing = () => {};
const everyFrame = (frames, handle) => frames.forEach(handle);

// The callbacks of every client:
// `onEvent(event, replayed)`: each event, in the order of arrival.
// `onGap(gap)`: events that will not come.
// `onRefusal(error)`: the node refused something that was asked of it.
// `onClose(code, reason)`: the connection ended and we did not ask for it.
// `wrap(frames, handle)`: stands between the wire and the client, for faults on purpose.
class Heard {
  constructor({ onEvent = nothing, onGap = nothing, onRefusal = nothing, onClose = nothing, wrap = everyFrame }) {
    Object.assign(this, { onEvent, onGap, onRefusal, onClose, wrap });
  }
}

export class Client {
  constructor(node, { name, encoding = 'json', subscriptions = [], ...handlers }) {
    Object.assign(this, { node, name, encoding, subscriptions });
    this.heard = new Heard(handlers);
    this.cursors = new Cursors(subscriptions);
    this.connections = 0;
  }

  // Opens a connection; resumes where the last one ended. `welcomed`: the node has answered. `ready`: every subscription is
  // live, so what is published from then on has to arrive; true where nothing was missed.
  connect() {
    this.closing = false;
    this.awaited = new Set(this.subscriptions);
    this.recovered = true;
    this.resuming = this.connections++ > 0;
    this.welcomed = new Promise((resolve, reject) => Object.assign(this, { welcome: resolve, unwelcome: reject }));
    this.ready = new Promise((resolve, reject) => Object.assign(this, { live: resolve, dead: reject }));
    // A caller that waits for one of the two need not look at the other.
    this.welcomed.catch(nothing);
    this.ready.catch(nothing);

    const { decode } = encodings[this.encoding];
    const socket = new WebSocket(`${this.node.replace(/^http/, 'ws')}/v1/ws`, [`notifier.v1.${this.encoding}`]);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () =>
      this.send({
        connect: {
          client: { name: this.name },
          subscriptions: this.subscriptions.map((subject) => ({ subject, after: this.cursors.after(subject) })),
        },
      });
    const take = (frame) => socket === this.socket && this.handle(frame);
    socket.onmessage = ({ data }) => this.heard.wrap(decode(data), take);
    socket.onerror = (error) => socket === this.socket && this.fail(error.error || 'the connection failed');
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.socket) return;
      this.fail(`closed with ${code} ${reason || ''}`.trim());
      if (!this.closing) this.heard.onClose(code, reason);
    };
    this.socket = socket;
  }

  publish(subject, data) {
    this.send({ publish: { subject, event: { data } } });
  }

  close() {
    this.closing = true;
    const { socket } = this;
    // An event that still comes on it does not count: the next connection gets it.
    this.socket = undefined;
    socket?.close();
  }

  send(frame) {
    if (this.socket?.readyState === OPEN) this.socket.send(encodings[this.encoding].encode(frame));
  }

  handle(frame) {
    if (frame.ping) this.send({ pong: {} });
    else if (frame.welcome) {
      this.welcome(frame.welcome);
      if (this.awaited.size === 0) this.live(true);
    } else if (frame.subscribed) {
      this.recovered &&= !this.resuming || frame.subscribed.recovered === true;
      this.awaited.delete(frame.subscribed.subject);
      this.cursors.subscribed(frame.subscribed);
      if (this.awaited.size === 0) this.live(this.recovered);
    } else if (frame.error) {
      this.heard.onRefusal(frame.error);
      this.fail(`${frame.error.code}: ${frame.error.message}`);
    }
    hearEvents(frame, this.heard, this.cursors);
    // Frames of later versions are passed over, as the protocol asks.
  }

  // Nothing happens once both promises are settled.
  fail(why) {
    this.unwelcome(new Error(why));
    this.dead(new Error(why));
  }
}

// The same without a WebSocket: one request after the other, each from the cursor of the last one.
export class Poller {
  constructor(node, { subscriptions, wait = 5, ...handlers }) {
    this.heard = new Heard(handlers);
    this.wait = wait;
    const subjects = subscriptions.map((subject) => `subject=${encodeURIComponent(subject)}`).join('&');
    this.url = `${node}/v1/poll?${subjects}`;
    this.cursor = undefined;
    this.closing = false;
  }

  connect() {
    // The first one does not wait: from its cursor on nothing is missed.
    this.ready = this.ask(0).then(() => true);
    this.welcomed = this.ready;
    this.ready.then(() => this.goOn(), nothing);
  }

  async goOn() {
    while (!this.closing) {
      try {
        await this.ask(this.wait);
      } catch (error) {
        if (!this.closing) this.heard.onClose(error.message, '');
        return;
      }
    }
  }

  async ask(wait) {
    const after = this.cursor === undefined ? '' : `&after=${encodeURIComponent(this.cursor)}`;
    const answer = await http.asyncRequest('GET', `${this.url}&wait=${wait}${after}`, null, { tags: { name: 'poll' } });
    if (answer.status !== 200) throw new Error(`poll: ${answer.status} ${answer.body || answer.error}`);
    this.heard.wrap(encodings.json.decode(answer.body), (frame) => {
      if (this.closing) return;
      if (frame.error) this.heard.onRefusal(frame.error);
      if (frame.ping?.cursor !== undefined) this.cursor = frame.ping.cursor;
      hearEvents(frame, this.heard);
    });
  }

  publish() {
    throw new Error('a poll sends nothing');
  }

  close() {
    this.closing = true;
  }
}

// Frames that bring events, alike on every way.
function hearEvents(frame, heard, cursors) {
  if (frame.event) {
    cursors?.event(frame.event);
    heard.onEvent(frame.event, false);
  } else if (frame.replay) {
    cursors?.replay(frame.replay);
    for (const event of frame.replay.events ?? []) heard.onEvent(event, true);
  } else if (frame.gap) {
    cursors?.gap(frame.gap);
    heard.onGap(frame.gap);
  } else if (frame.ping?.positions) cursors?.ping(frame.ping.positions);
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
