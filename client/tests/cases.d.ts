import type { SubscribeOptions } from '../src/types.js';
import { type Frame } from './scripted.js';
/** One step of a case; exactly one key says what it is. `on` is the connection, the newest one where it is absent. */
export interface Step {
    on?: number;
    /** The client does: `[verb, arguments..]`. */
    subscribe?: {
        as: string;
        subject: string;
        options?: Pick<SubscribeOptions, 'snapshot' | 'after'>;
    };
    unsubscribe?: string;
    publish?: {
        as: string;
        subject: string;
        data: unknown;
        options?: object;
    };
    request?: {
        as: string;
        subject: string;
        data: unknown;
        options?: object;
    };
    /** The node takes `connect` and answers it; the fields are added to `welcome`. */
    welcome?: object;
    /** The node receives this frame next: each field that stands here has this value, others count for nothing. */
    expect?: Frame;
    /** The node has received nothing more after so many milliseconds. */
    quiet?: number;
    /** The node sends these frames in one message. `"$subscribe"` is the id of the last frame with that body. */
    send?: object[];
    close?: [code: number, reason: string];
    cut?: true;
    /** The client has closed the connection with this code. */
    closed?: number;
    /** All that a handler has heard, in order; a publish or request has its answer or error as the only entry. */
    heard?: Record<string, object[]>;
    status?: string;
    /** Connections that were opened so far. */
    connections?: number;
    cursor?: {
        subject: string;
        is: string;
    };
}
export interface Case {
    name: string;
    /** Tokens that the application gives, one per call. */
    tokens?: string[];
    steps: Step[];
}
export declare function runCase({ tokens, steps }: Case): Promise<void>;
