// Questions to the node that have one answer each: publish, request, fetch. They wait for a connection, and those that may
// be repeated outlive it.
import type { Connection } from './connection.js';
import { failure, late, refusal } from './error.js';
import type { ClientBody, ServerFrame } from './frames.js';

export interface CallOptions {
  /** Milliseconds, waiting for a connection included; without an end where absent. */
  timeout?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Whether asking twice is the same as asking once. */
  repeatable: boolean;
}

interface Call extends CallOptions {
  /** As JSON from the beginning: what the application does with its data afterwards changes nothing. */
  text: string;
  isRequest: boolean;
  connection?: Connection | undefined;
  id: number;
  settle: (frame: ServerFrame) => void;
  fail: (error: unknown) => void;
}

export class Calls {
  readonly #waiting = new Set<Call>();
  #connection: Connection | undefined;

  get size(): number {
    return this.#waiting.size;
  }

  /** Whether an answer may still come by this connection. */
  waitOn(connection: Connection): boolean {
    return [...this.#waiting].some((call) => call.connection === connection);
  }

  call(body: ClientBody, options: CallOptions): Promise<ServerFrame> {
    const { timeout, signal } = options;
    const text = JSON.stringify(body);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const done = (): void => {
        this.#waiting.delete(call);
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
        // A place has become free.
        this.#flush();
      };
      const call: Call = {
        ...options,
        text,
        isRequest: 'request' in body,
        id: 0,
        settle: (frame) => (done(), resolve(frame)),
        fail: (error) => (done(), reject(error)),
      };
      const aborted = (): void => call.fail(signal?.reason);
      signal?.addEventListener('abort', aborted);
      if (timeout) timer = setTimeout(() => call.fail(late('answer', timeout)), timeout);
      this.#waiting.add(call);
      this.#flush();
    });
  }

  /** Nothing will come any more. */
  fail(error: unknown): void {
    for (const call of [...this.#waiting]) call.fail(error);
  }

  welcomed(connection: Connection): void {
    this.#connection = connection;
    this.#flush();
  }

  /** Takes the answer to a call; answers to what was given up fall through. */
  frame(connection: Connection, frame: ServerFrame): void {
    if (!frame.replyTo) return;
    for (const call of this.#waiting) {
      if (call.connection !== connection || call.id !== frame.replyTo) continue;
      if (frame.error) call.fail(refusal(frame.error));
      else call.settle(frame);
      return;
    }
  }

  lost(connection: Connection): void {
    if (this.#connection === connection) this.#connection = undefined;
    for (const call of [...this.#waiting]) {
      if (call.connection !== connection) continue;
      call.connection = undefined;
      if (!call.repeatable) call.fail(failure('connection_lost', 'the connection was lost'));
    }
    this.#flush();
  }

  #flush(): void {
    const connection = this.#connection;
    if (!connection?.open) return;
    // The node refuses questions to services above its limit; other components' questions wait here instead.
    let room = connection.welcome?.limits.requestsInFlight ?? 0;
    for (const call of this.#waiting) if (call.connection === connection && call.isRequest) room--;
    for (const call of [...this.#waiting]) {
      if (call.connection || (call.isRequest && room-- <= 0)) continue;
      call.id = connection.sendText(call.text, () => this.#waiting.has(call));
      if (call.id) call.connection = connection;
      else call.fail(failure('too_large', 'larger than a message may be'));
    }
  }
}
