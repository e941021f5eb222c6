// One connection to a node, from the dial to its end: numbers what is sent, reads what comes, and knows when it is dead.
import { report } from './error.js';
import type { ClientBody, ServerFrame, Welcome } from './frames.js';
import { Outbox } from './outbox.js';
import { type Dial, LOST, type Transport } from './transport.js';
import { deadline, Watchdog } from './watchdog.js';

/** From the dial to `welcome`, milliseconds: a slow network and a node that is busy, not a hole. */
const WELCOME_MS = 10_000;

export interface ConnectionOwner {
  opened(connection: Connection): void;
  frame(connection: Connection, frame: ServerFrame): void;
  lost(connection: Connection, code: number, reason: string): void;
}

export class Connection {
  welcome: Welcome | undefined;
  /** What the node said before it closed: when to come back. */
  hint = 0;
  open = true;
  /** The node has asked it to move elsewhere. */
  declare leaves?: boolean;

  readonly #owner: ConnectionOwner;
  readonly #transport: Transport;
  readonly #outbox: Outbox;
  readonly #watchdog: Watchdog;
  readonly #cancelWelcome: () => void;
  #ids = 0;

  /** `generation` is higher for a connection that was dialled later. */
  constructor(
    dial: Dial,
    url: string,
    readonly generation: number,
    owner: ConnectionOwner,
  ) {
    this.#owner = owner;
    this.#outbox = new Outbox((message) => this.#transport.send(message));
    this.#watchdog = new Watchdog(
      () => this.send({ ping: {} }),
      () => this.#end(LOST, 'silent'),
    );
    this.#transport = dial(url, {
      opened: () => this.open && owner.opened(this),
      received: (text) => this.#received(text),
      closed: (code, reason) => this.open && this.#end(code, reason),
    });
    this.#cancelWelcome = deadline(WELCOME_MS, () => this.#end(LOST, 'no welcome in time'));
  }

  /** Queues a frame and returns its number, 0 where it is larger than the node takes. */
  send(body: ClientBody): number {
    return this.sendText(JSON.stringify(body));
  }

  /** The same with a body that is JSON already, and only if it is still wanted when its turn comes. */
  sendText(body: string, wanted = () => true): number {
    const id = ++this.#ids;
    return this.open && this.#outbox.push(`{"id":${id},${body.slice(1)}`, wanted) ? id : 0;
  }

  /** Asks whether the node is there. */
  probe(): void {
    this.#watchdog.probe();
  }

  /** Ends it from this side. Nothing is awaited: a dead socket may never say that it is closed. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    this.#cancelWelcome();
    this.#watchdog.stop();
    this.#outbox.clear();
    this.#transport.close();
  }

  #received(text: string): void {
    if (!this.open) return;
    this.#watchdog.heard();
    for (const line of text.split('\n')) {
      if (!line) continue;
      let frame: ServerFrame;
      try {
        frame = JSON.parse(line) as ServerFrame;
      } catch (error) {
        report(error);
        continue;
      }
      if (frame.welcome) {
        this.welcome = frame.welcome;
        this.#cancelWelcome();
        this.#outbox.limit(frame.welcome.limits);
        this.#watchdog.watch(2 * frame.welcome.heartbeatMs);
      }
      // Unasked, or in answer to `connect`.
      if (frame.error?.retryAfterMs && !(frame.replyTo && this.welcome)) this.hint = frame.error.retryAfterMs;
      this.#owner.frame(this, frame);
      // A handler may have ended the connection; what came behind belongs to nobody then.
      if (!this.open) return;
    }
  }

  #end(code: number, reason: string): void {
    this.close();
    this.#owner.lost(this, code, reason);
  }
}
