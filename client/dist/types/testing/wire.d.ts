import type { WebSocketConstructor } from '../types.js';
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
/** A WebSocket constructor whose connections `accept` gets; where that gives false, the dial fails. */
export declare function webSockets(accept: (wire: Wire) => boolean | void): WebSocketConstructor;
