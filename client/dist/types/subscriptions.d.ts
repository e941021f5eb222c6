import type { Connection } from './connection.js';
import { type Read, type Sink, type Wish } from './consumer.js';
import { Cursor } from './cursor.js';
import type { ServerFrame } from './frames.js';
import type { Inspection } from './types.js';
export declare class Subscriptions {
    #private;
    readonly counters: {
        events: number;
        duplicates: number;
        gaps: number;
    };
    constructor(read: Read);
    get size(): number;
    /** Adds a handler; the returned function takes it away. */
    add(pattern: string, sink: Sink, wish: Wish): () => void;
    opened(connection: Connection): void;
    lost(connection: Connection): void;
    /** Whether the connection carries every subscription, or has refused it. */
    settled(connection: Connection): boolean;
    frame(connection: Connection, frame: ServerFrame): void;
    /** How far one subscription has come, or, of all, the least of each stream. */
    cursor(pattern?: string): Cursor | undefined;
    inspect(): Inspection['subscriptions'];
}
