export interface FromPage {
    /** First of all: the address of the node. */
    readonly dial?: string;
    /** Frames, one JSON object per line. */
    readonly text?: string;
    /** So many characters have been read since it was told last. */
    readonly read?: number;
    readonly close?: true;
}
export interface FromWorker {
    readonly opened?: true;
    readonly text?: string;
    /** Code and reason, as of a WebSocket. Nothing follows. */
    readonly closed?: readonly [code: number, reason: string];
}
/** Characters of text after which a page tells that it has read them. */
export declare const READ_EVERY = 65536;
