import type { ServerFrame, WireEvent } from '../frames.js';
import { type Stream } from './streams.js';
import type { Wire } from './wire.js';
/** The limits that nodes tell by default. */
export declare const LIMITS: {
    messageBytes: number;
    framesPerSecond: number;
    framesBurst: number;
    bytesPerSecond: number;
    bytesBurst: number;
    requestsInFlight: number;
};
/** What a session needs of its node. */
export interface SessionOwner {
    readonly streams: readonly Stream[];
    readonly broker: 'ok' | 'down';
    /** The user of a token; nobody where it is refused. */
    user(token: string | undefined): string | undefined;
    /** The code with which something is refused. */
    refused(subject: string): string | undefined;
    publish(subject: string, event: Partial<WireEvent>): NonNullable<ServerFrame['published']>;
    answer(subject: string, event: Partial<WireEvent>): Promise<unknown> | undefined;
}
export declare class Session {
    #private;
    readonly wire: Wire;
    readonly owner: SessionOwner;
    readonly number: number;
    readonly subjects: Set<string>;
    constructor(wire: Wire, owner: SessionOwner, number: number);
    send(...frames: ServerFrame[]): void;
    /** Tells an event once, however many patterns match. */
    event(event: WireEvent): void;
    matching(subject: string): string[];
    /** Tells the state of the broker, and goes on with what waited for it. */
    ping(): void;
}
