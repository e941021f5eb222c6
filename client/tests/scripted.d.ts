import { type WebSocket } from 'ws';
export type Frame = Record<string, unknown> & {
    id?: number;
};
/** Limits as a node tells them by default. */
export declare const LIMITS: {
    messageBytes: number;
    framesPerSecond: number;
    framesBurst: number;
    bytesPerSecond: number;
    bytesBurst: number;
    requestsInFlight: number;
};
/** One client's connection: what it has sent, and what it is to be told. */
export declare class Peer {
    #private;
    readonly socket: WebSocket;
    readonly frames: Frame[];
    closed: {
        code: number;
    } | undefined;
    constructor(socket: WebSocket);
    /** The client's next frame, which has to have this body. */
    next(body: string): Promise<Frame>;
    /** Frames that nobody has looked at. */
    get rest(): Frame[];
    send(...frames: object[]): void;
    /** Takes `connect` and answers it. */
    welcome(more?: object): Promise<Frame>;
    /** Takes `subscribe` and says that it is live. */
    subscribed(subject: string, more?: object): Promise<Frame>;
}
export declare class ScriptedNode {
    #private;
    readonly peers: Peer[];
    private constructor();
    static start(): Promise<ScriptedNode>;
    get url(): string;
    /** The connection that was opened as the `number`th, from 0. */
    peer(number: number): Promise<Peer>;
    stop(): void;
}
