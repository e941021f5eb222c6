// The network between this page and its node, which the buttons break. The shared connection and the sockets of the old
// way go through it, so that both are counted and both meet the same faults.

/** RFC 6455: ended without a Close frame. */
const LOST = 1006;
/** The close code of a node that leaves, and the time that it gives clients to move, milliseconds. */
const GOING_AWAY = 4001;
const MOVE_MS = 2_000;
/** An address that answers 403 where a WebSocket is asked for, as some proxies do. */
const NO_WEBSOCKET = new URL('demo/no-websocket', document.baseURI).href.replace('http', 'ws');

const BrowsersWebSocket = globalThis.WebSocket;
const wires = new Set();
const watchers = new Set();
let isDown = false;
let refuses = false;

/** The last fault: when it began, and since when nothing stands in the way of a connection any more. */
export const fault = { began: undefined, ended: undefined };

const changed = () => watchers.forEach((run) => run());

/** A WebSocket of the browser, and what can happen to it on its way. */
class Wire {
  isOpen = false;
  /** It has ended without a word. */
  isDead = false;

  constructor(url, protocol) {
    if (isDown) {
      setTimeout(() => this.onclose?.({ code: LOST, reason: '' }), 50);
      return;
    }
    wires.add(this);
    const real = (this.real = new BrowsersWebSocket(refuses ? NO_WEBSOCKET : url, protocol));
    real.onopen = () => {
      this.isOpen = true;
      changed();
      this.onopen?.();
    };
    real.onmessage = (message) => this.onmessage?.(message);
    real.onclose = ({ code, reason }) => this.end(code, reason);
  }

  send(text) {
    if (this.isOpen) this.real.send(text);
  }

  close(code, reason) {
    this.real?.close(code, reason);
    this.leave();
  }

  leave() {
    this.isOpen = false;
    wires.delete(this);
    changed();
  }

  /** Nothing passes any more, and nobody is told. */
  die() {
    this.isDead = true;
    if (this.real) this.real.onopen = this.real.onmessage = this.real.onclose = null;
    this.close();
  }

  end(code, reason) {
    this.die();
    this.isDead = false;
    this.onclose?.({ code, reason });
  }
}

/** The page's one connection. */
class SharedSocket extends Wire {}
/** A socket that one component has for itself. */
export class OwnSocket extends Wire {}

// Not handed to the library: that would be the only way that it may go.
globalThis.WebSocket = SharedSocket;
Object.defineProperty(navigator, 'onLine', { configurable: true, get: () => !isDown });

const openWires = (kind) => [...wires].filter((wire) => wire instanceof kind && wire.isOpen);
export const sharedSockets = () => openWires(SharedSocket).length;
export const ownSockets = () => openWires(OwnSocket).length;
export const watchSockets = (run) => watchers.add(run);

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const begin = () => (fault.began = fault.ended = performance.now());
const end = () => (fault.ended = performance.now());

/** All connections end without a Close frame. */
export function cut() {
  begin();
  for (const wire of [...wires]) wire.end(LOST, '');
}

/** All connections end, and none can be made, until `run` is done. */
export async function away(run) {
  isDown = true;
  cut();
  try {
    await run();
  } finally {
    isDown = false;
    end();
    // The browser tells a page that the network is there again.
    dispatchEvent(new Event('online'));
  }
}

export const isBlocked = () => refuses;

/** From now on something refuses WebSockets, as a proxy does, and lets all other requests pass. */
export function block() {
  refuses = true;
  cut();
}

/** As when the computer comes into another network: the browser tells its pages. */
export function unblock() {
  refuses = false;
  dispatchEvent(new Event('online'));
}

/** The node leaves, as in a deploy: it says so, gives time to move, and closes. */
export async function drain() {
  const leaving = [...wires];
  const goaway = JSON.stringify({ goaway: { reconnectAfterMs: 100 } });
  // The old way has no ears for it.
  for (const wire of openWires(SharedSocket)) wire.onmessage?.({ data: goaway });
  await pause(MOVE_MS);
  for (const wire of leaving) if (wires.has(wire)) wire.end(GOING_AWAY, 'going_away');
}

/** The computer sleeps: connections die without a word. It wakes up after `ms`. */
export async function sleep(ms) {
  begin();
  for (const wire of [...wires]) wire.die();
  await pause(ms);
  end();
  document.dispatchEvent(new Event('resume'));
}

/** Has the node hold this token for the shared connection instead of the one that it has. */
export const replaceToken = (token) => openWires(SharedSocket).forEach((wire) => wire.send(JSON.stringify({ refresh: { token } })));
