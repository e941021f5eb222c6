// Frames on their way out: joined into messages, never larger and never more per second than the node takes.
import { Budget } from './budget.js';
import type { Limits } from './frames.js';

/** Bytes of a message before the node has told its limit; an operator may have set it low. */
const UNTOLD_MESSAGE_BYTES = 16_384;
/** Head and mask of a WebSocket frame, which count as bytes of the client. */
const HEAD_BYTES = 14;
/** Milliseconds between two looks at an empty budget. */
const PAUSE_MS = 100;

const bytesOf = (text: string): number => new TextEncoder().encode(text).length;

export class Outbox {
  readonly #send: (message: string) => void;
  #waiting: { text: string; bytes: number; wanted: () => boolean }[] = [];
  #scheduled = false;
  #messageBytes = UNTOLD_MESSAGE_BYTES;
  // The node's defaults, until it has told its limits.
  readonly #frames = new Budget(100, 1_000);
  readonly #bytes = new Budget(1_048_576, 4_194_304);

  constructor(send: (message: string) => void) {
    this.#send = send;
  }

  limit(limits: Limits): void {
    this.#messageBytes = limits.messageBytes;
    this.#frames.change(limits.framesPerSecond, limits.framesBurst);
    this.#bytes.change(limits.bytesPerSecond, limits.bytesBurst);
  }

  /** False where the frame is larger than any message may be. One that waits and is `wanted` no more is not sent. */
  push(text: string, wanted: () => boolean): boolean {
    const bytes = bytesOf(text) + HEAD_BYTES;
    if (bytes > this.#messageBytes) return false;
    this.#waiting.push({ text, bytes, wanted });
    if (!this.#scheduled) {
      this.#scheduled = true;
      // All that one task of the page asks for travels together.
      queueMicrotask(() => this.#flush());
    }
    return true;
  }

  clear(): void {
    this.#waiting = [];
  }

  #flush(): void {
    this.#scheduled = false;
    this.#waiting = this.#waiting.filter(({ wanted }) => wanted());
    while (this.#waiting.length) {
      const message: string[] = [];
      let size = 0;
      for (const { text, bytes } of this.#waiting) {
        if (size + bytes > this.#messageBytes || !this.#frames.has(1) || !this.#bytes.has(bytes)) break;
        this.#frames.spend(1);
        this.#bytes.spend(bytes);
        size += bytes;
        message.push(text);
      }
      if (!message.length) {
        this.#scheduled = true;
        setTimeout(() => this.#flush(), PAUSE_MS);
        return;
      }
      this.#waiting.splice(0, message.length);
      this.#send(message.join('\n'));
    }
  }
}
