import type { Config, NotifierError, PublishOptions } from '../types.js';
import { type FakeStream } from './streams.js';
export interface FakeNodeOptions {
    /** What is stored, by the name of the stream; all else is live. One durable stream of everything where absent. */
    streams?: Readonly<Record<string, FakeStream>>;
    /** The user of a token; nobody, so a refusal, where it gives `undefined`. Everybody is `test` where absent. */
    user?: (token: string | undefined) => string | undefined;
}
/** An event that the page has published, as the node got it. */
export interface FakePublished {
    readonly subject: string;
    readonly data: unknown;
    readonly id?: string;
    readonly headers?: Readonly<Record<string, string>>;
}
export type FakeStatus = 'online' | 'degraded' | 'waiting' | 'unauthorized' | 'closed';
export interface FakeNode {
    /** For `configure` or `createClient`. */
    readonly config: Config;
    /** Subjects and patterns that are subscribed now, each once. */
    readonly subjects: readonly string[];
    /** Connections that stand. */
    readonly connections: number;
    /** Tokens that clients have shown, `undefined` for none. */
    readonly tokens: readonly (string | undefined)[];
    /** What clients have published. */
    readonly published: readonly FakePublished[];
    /** Publishes an event as a service does: stored where a stream takes it, told to all who subscribed. */
    emit(subject: string, data: unknown, options?: Pick<PublishOptions, 'id' | 'type' | 'source' | 'headers' | 'time'>): void;
    /** Answers requests; an error that it throws reaches the caller as `service_error`. Stops by the returned function. */
    answer(subject: string, service: (data: never, subject: string) => unknown): () => void;
    /** Refuses everything of a subject or pattern with a code of the node, until the returned function is called. */
    refuse(subject: string, code?: NotifierError['code']): () => void;
    /** Brings the client into a status. It leaves `unauthorized` and `closed` by `configure` alone, as at a real node. */
    setStatus(status: FakeStatus): void;
    /** Breaks all connections, as a network does; clients come back by themselves. */
    cut(): void;
    /** Asks clients to connect anew before this connection ends, as a node does that is updated. */
    drain(): void;
    /** Says that tokens end soon: clients bring new ones. */
    expireToken(): void;
    /** Drops what a stream has stored, or all of them: who comes back later is told a gap. */
    expire(stream?: string): void;
    /** Makes a stream anew, or all of them: who subscribed is told a gap, `reset`. */
    recreate(stream?: string): void;
    /** Says that live events of a pattern were lost, as a node does to a client that is too slow. */
    lose(subject: string): void;
}
export declare function createFakeNode({ streams, user }?: FakeNodeOptions): FakeNode;
