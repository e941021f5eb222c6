import { Connection, type ConnectionOwner } from './connection.js';
import type { ServerFrame } from './frames.js';
import { type PageOwner } from './page.js';
import { Value } from './store.js';
import type { Config, StatusInfo } from './types.js';
export interface EngineOwner extends Omit<ConnectionOwner, 'lost'> {
    welcomed(connection: Connection): void;
    lost(connection: Connection): void;
    /** Whether `next` carries everything, so that nothing needs `old` any more. */
    settled(next: Connection, old: Connection): boolean;
    /** Whether anybody wants a connection. */
    wanted(): boolean;
}
export declare class Engine implements ConnectionOwner, PageOwner {
    #private;
    readonly status: Value<StatusInfo>;
    dials: number;
    /** The connection that carries the page. */
    current: Connection | undefined;
    constructor(owner: EngineOwner);
    /** Changes where and as whom to connect, and begins anew where that makes a difference. */
    configure(config: Config): void;
    /** Connects if somebody wants it and nothing is under way. */
    start(): void;
    /** Ends for good. */
    close(): void;
    woke(crowd: boolean): void;
    doubted(): void;
    slept(): void;
    opened(connection: Connection): void;
    frame(connection: Connection, frame: ServerFrame): void;
    lost(connection: Connection, code: number, reason: string): void;
}
