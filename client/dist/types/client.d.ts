import type { UseKernel } from './handle.js';
import { type Kernel } from './kernel.js';
import { type MakeLive } from './live.js';
import { type Subscribe } from './subscribe.js';
import type { Config, DataOf, Fetched, FetchOptions, Inspection, Published, PublishOptions, RequestOptions, StatusInfo, Store } from './types.js';
export interface Client {
    /** Says where and as whom to connect. Called once, by whoever owns the page; subscriptions may come before it. */
    configure(config: Config): void;
    subscribe: Subscribe;
    live: MakeLive;
    /** Publishes an event, and tries again under the same id when the connection is lost meanwhile. */
    publish(subject: string, data: unknown, options?: PublishOptions): Promise<Published>;
    /** Asks a service and waits for the data of its answer. */
    request<T = unknown>(subject: string, data: unknown, options?: RequestOptions): Promise<T>;
    /** Reads stored events without subscribing. */
    fetch<S extends string, T = DataOf<S>>(subject: S, options?: FetchOptions): Promise<Fetched<T>>;
    /** The state of the connection. */
    status: Store<StatusInfo>;
    /** How far a subscription has come, or all of them: a text to go on from, on any node and after a reload. */
    cursor(subject?: string): string | undefined;
    /** What a developer wants to see, as plain data. */
    inspect(): Inspection;
}
/** `now` gives the kernel if there is one; `use` waits for it. */
export declare function clientOver(use: UseKernel, now: () => Kernel | undefined, copies: () => string[]): Client;
/** A client of its own, which shares nothing with the page: for servers, workers and tests. */
export declare function createClient(config: Config): Client & {
    close(): void;
};
