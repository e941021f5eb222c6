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
/** RFC 6455: ended without a Close frame. */
export declare const LOST = 1006;
/** Dials by the platform's WebSocket, or by the one that is given. */
export declare const webSocket: (Constructor: WebSocketConstructor) => Dial;
