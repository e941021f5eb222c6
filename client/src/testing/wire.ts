// Connections in memory: the page has a WebSocket, the node the other end of it. Messages arrive in order, in a microtask
// of their own, so that nothing waits for a timer which a test may have replaced.
import { LOST } from '../transport.js';
import type { WebSocketConstructor, WebSocketLike } from '../types.js';


/** The node's end of one connection. */
export interface Wire {
  /** Whether the connection stands. */
  readonly open: boolean;
  onmessage: (text: string) => void;
  onclose: (code: number) => void;
  send(text: string): void;
  /** Ends it with a Close frame; without a code, as a network does. */
  close(code?: number, reason?: string): void;
}

const later = (run: () => void): void => void Promise.resolve().then(run);

/** A WebSocket constructor whose connections `accept` gets; where that gives false, the dial fails. */
export function webSockets(accept: (wire: Wire) => boolean | void): WebSocketConstructor {
  return class implements WebSocketLike {
    onopen: WebSocketLike['onopen'] = null;
    onmessage: WebSocketLike['onmessage'] = null;
    onclose: WebSocketLike['onclose'] = null;
    onerror: WebSocketLike['onerror'] = null;
    readonly #wire: Wire & { open: boolean };

    constructor() {
      const end = (code: number, reason: string): void => {
        if (!this.#wire.open) return;
        this.#wire.open = false;
        later(() => this.onclose?.({ code, reason } as never));
      };
      this.#wire = {
        open: true,
        onmessage: () => {},
        onclose: () => {},
        // What is on its way when a connection ends still arrives.
        send: (text) => this.#wire.open && later(() => this.onmessage?.({ data: text } as never)),
        close: (code = LOST, reason = '') => end(code, reason),
      };
      later(() => {
        if (!this.#wire.open) return;
        if (accept(this.#wire) === false) end(LOST, '');
        else this.onopen?.({} as never);
      });
    }

    send(text: string): void {
      later(() => this.#wire.open && this.#wire.onmessage(text));
    }

    close(code = LOST): void {
      if (!this.#wire.open) return;
      this.#wire.open = false;
      later(() => this.#wire.onclose(code));
    }
  };
}
