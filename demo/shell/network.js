// The network between this page and its node, which the buttons break. The shared connection and the sockets of the old
// way go through it, so that both are counted and both meet the same faults.

/** RFC 6455: ended without a Close frame. */
const LOST = 1006;
/** The close code of a node that leaves, and the time that it gives clients to move, milliseconds. */
const GOING_AWAY = 4001;
const MOVE_MS = 2_000;

const wires = new Set();
const watchers = new Set();
let isDown = false;

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
    const real = (this.real = new WebSocket(url, protocol));
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
export class SharedSocket extends Wire {}
/** A socket that one component has for itself. */
export class OwnSocket extends Wire {}

export const openSockets = (kind) => [...wires].filter((wire) => wire instanceof kind && wire.isOpen).length;
export const watchSockets = (run) => watchers.add(run);

/** A frame as if the node had sent it, to the shared connection alone: the old way has no ears for it. */
const tell = (frame) => {
  const data = JSON.stringify(frame);
  for (const wire of wires) if (wire instanceof SharedSocket && wire.isOpen) wire.onmessage?.({ data });
};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** All connections end without a Close frame. */
export const cut = () => [...wires].forEach((wire) => wire.end(LOST, ''));

/** All connections end, and none can be made, until `run` is done. */
export async function away(run) {
  isDown = true;
  cut();
  try {
    await run();
  } finally {
    isDown = false;
    // The browser tells a page that the network is there again.
    dispatchEvent(new Event('online'));
  }
}

/** The node leaves, as in a deploy: it says so, gives time to move, and closes. */
export async function drain() {
  const leaving = [...wires];
  tell({ goaway: { reconnectAfterMs: 100 } });
  await pause(MOVE_MS);
  for (const wire of leaving) if (wires.has(wire)) wire.end(GOING_AWAY, 'going_away');
}

/** The computer sleeps: connections die without a word. It wakes up after `ms`. */
export async function sleep(ms) {
  for (const wire of [...wires]) wire.die();
  await pause(ms);
  document.dispatchEvent(new Event('resume'));
}

/** The node says that the token is about to expire. */
export const expireToken = () => tell({ tokenExpiring: { inMs: 1_000 } });
