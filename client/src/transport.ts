// A way to carry frames between a page and a node. A WebSocket is one; each other way is one more function of this type.
import type { WebSocketConstructor } from './types.js';

/** What a transport tells; nothing comes after `closed`. */
export interface TransportEvents {
  opened(): void;
  /** Frames, one JSON object per line. */
  received(text: string): void;
  closed(code: number, reason: string): void;
}

export interface Transport {
  send(text: string): void;
  close(): void;
}

export type Dial = (url: string, events: TransportEvents) => Transport;

const SUBPROTOCOL = 'notifier.v1.json';
/** RFC 6455: ended without a Close frame. */
export const LOST = 1006;
const NORMAL = 1000;

/** Dials by the platform's WebSocket, or by the one that is given. */
export const webSocket =
  (Constructor: WebSocketConstructor): Dial =>
  (url, events) => {
    const socket = new Constructor(url, SUBPROTOCOL);
    socket.onopen = () => events.opened();
    socket.onmessage = ({ data }: { data: unknown }) => events.received(String(data));
    socket.onclose = ({ code, reason }: { code?: number; reason?: string }) => events.closed(code ?? LOST, reason ?? '');
    // A close follows, and a browser tells nothing here. Without a listener some implementations throw.
    socket.onerror = () => {};
    return {
      send: (text) => socket.send(text),
      close: () => socket.close(NORMAL),
    };
  };
