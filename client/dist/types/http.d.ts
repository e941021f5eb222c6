import type { BodyOf, ServerFrame, WireError } from './frames.js';
/** What one of these frames asks is answered by one HTTP request. */
export type Asking = Partial<{
    publish: BodyOf<'publish'>;
    request: BodyOf<'request'>;
    fetch: BodyOf<'fetch'>;
}>;
export declare class Http {
    #private;
    token: string | undefined;
    /** `url` is that of the WebSocket. */
    constructor(url: string);
    /** Ends all requests. */
    close(): void;
    send(path: string, init: RequestInit & {
        headers?: Record<string, string>;
    }, signal?: AbortSignal): Promise<Response>;
    /** The frame that answers; rejects where there is none, as when the network is gone. */
    ask({ publish, request, fetch: read }: Asking): Promise<ServerFrame>;
}
/** A frame out of an answer's body. What is none comes from something between the page and the node. */
export declare function frameOf(response: Response): Promise<ServerFrame & {
    error?: WireError;
}>;
