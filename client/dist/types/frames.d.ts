import type { BatchPlace, Position, Transport } from './types.js';
export interface WireEvent {
    subject: string;
    stream?: string;
    seq?: number;
    id?: string;
    type?: string;
    source?: string;
    contentType?: string;
    time?: number;
    headers?: Record<string, string>;
    gone?: string;
    batch?: BatchPlace;
    data?: unknown;
    dataBase64?: string;
}
export interface WireGap {
    subject: string;
    stream?: string;
    fromSeq?: number;
    toSeq?: number;
    reason: string;
    /** With `reset`: the epoch from here on. */
    epoch?: string;
}
/** What a client sends in one frame, without the `id`. */
export type ClientBody = {
    connect: {
        token?: string | undefined;
        client: {
            name: string;
            version: string;
        };
        replaces?: string | undefined;
    };
} | {
    subscribe: {
        subject: string;
        after?: Position[] | undefined;
    };
} | {
    unsubscribe: {
        subject: string;
    };
} | {
    publish: {
        subject: string;
        event: Partial<WireEvent>;
    };
} | {
    request: {
        subject: string;
        event: Partial<WireEvent>;
        timeoutMs: number;
    };
} | {
    fetch: {
        subject: string;
        after?: Position[] | undefined;
        last?: boolean;
        limit?: number | undefined;
    };
} | {
    refresh: {
        token: string;
    };
} | {
    ping: Record<string, never>;
};
/** One of them, by its key. */
export type BodyOf<K extends string> = Extract<ClientBody, Record<K, unknown>> extends Record<K, infer B> ? B : never;
export interface Limits {
    messageBytes: number;
    framesPerSecond: number;
    framesBurst: number;
    bytesPerSecond: number;
    bytesBurst: number;
    requestsInFlight: number;
}
export interface Welcome {
    connection: string;
    node: string;
    user?: string;
    heartbeatMs: number;
    limits: Limits;
    /** Told by what stands in for a node, where it is no WebSocket. */
    transport?: Transport | undefined;
}
export interface WireError {
    code: string;
    message: string;
    retryable?: boolean;
    subject?: string;
    serviceCode?: string;
    retryAfterMs?: number;
}
export interface WireFetched {
    events?: WireEvent[];
    positions?: Position[];
    more?: boolean;
    gaps?: WireGap[];
}
/**
 * A frame from a node: at most one body, and the `id` of the frame that it answers, or of the request whose subscription it
 * is of. Nodes of earlier versions leave the second out.
 */
export interface ServerFrame {
    replyTo?: number;
    event?: WireEvent;
    welcome?: Welcome;
    subscribed?: {
        subject: string;
        delivery: string;
        positions?: Position[];
        recovered?: boolean;
    };
    unsubscribed?: {
        subject: string;
        reason?: string;
    };
    /** `epoch` stands in the first one of a stream. */
    replay?: {
        subject: string;
        events?: WireEvent[];
        snapshot?: boolean;
        epoch?: string;
        complete?: boolean;
        stream?: string;
    };
    gap?: WireGap;
    pong?: object;
    /** `transport` as in `welcome`, by what stands in for a node. */
    ping?: {
        positions?: Position[];
        broker?: string;
        cursor?: string;
        transport?: Transport | undefined;
    };
    goaway?: {
        reconnectAfterMs?: number;
        windowMs?: number;
        reason?: string;
    };
    published?: {
        stream?: string;
        seq?: number;
        duplicate?: boolean;
    };
    response?: {
        event: WireEvent;
    };
    fetched?: WireFetched;
    refreshed?: {
        expiresAt?: number;
    };
    tokenExpiring?: {
        inMs?: number;
    };
    error?: WireError;
}
