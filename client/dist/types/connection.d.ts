import type { ClientBody, ServerFrame, Welcome } from './frames.js';
import { type Dial } from './transport.js';
export interface ConnectionOwner {
    opened(connection: Connection): void;
    frame(connection: Connection, frame: ServerFrame): void;
    lost(connection: Connection, code: number, reason: string): void;
}
export declare class Connection {
    #private;
    readonly generation: number;
    welcome: Welcome | undefined;
    /** What the node said before it closed: when to come back. */
    hint: number;
    open: boolean;
    /** The node has asked it to move elsewhere. */
    leaves?: boolean;
    /** `generation` is higher for a connection that was dialled later. */
    constructor(dial: Dial, url: string, generation: number, owner: ConnectionOwner);
    /** Queues a frame and returns its number, 0 where it is larger than the node takes. */
    send(body: ClientBody): number;
    /** The same with a body that is JSON already, and only if it is still wanted when its turn comes. */
    sendText(body: string, wanted?: () => boolean): number;
    /** Asks whether the node is there. */
    probe(): void;
    /** Ends it from this side. Nothing is awaited: a dead socket may never say that it is closed. */
    close(): void;
}
