import type { Connection } from './connection.js';
import type { ClientBody, ServerFrame } from './frames.js';
export interface CallOptions {
    /** Milliseconds, waiting for a connection included; without an end where absent. */
    timeout?: number | undefined;
    signal?: AbortSignal | undefined;
    /** Whether asking twice is the same as asking once. */
    repeatable: boolean;
}
export declare class Calls {
    #private;
    get size(): number;
    /** Whether an answer may still come by this connection. */
    waitOn(connection: Connection): boolean;
    call(body: ClientBody, options: CallOptions): Promise<ServerFrame>;
    /** Nothing will come any more. */
    fail(error: unknown): void;
    welcomed(connection: Connection): void;
    /** Takes the answer to a call; answers to what was given up fall through. */
    frame(connection: Connection, frame: ServerFrame): void;
    lost(connection: Connection): void;
}
