import type { Sink } from './consumer.js';
import type { Config, Fetched, FetchOptions, Inspection, Published, PublishOptions, RequestOptions, StatusInfo, Store, SubscribeOptions } from './types.js';
/** What a kernel offers to facades: plain data and functions, known by name and never by class. */
export interface Kernel {
    readonly version: string;
    readonly status: Store<StatusInfo>;
    configure(config: Config): void;
    /** Adds a handler; the returned function takes it away. */
    subscribe(subject: string, sink: Sink, options: Pick<SubscribeOptions, 'snapshot' | 'after' | 'label'>): () => void;
    publish(subject: string, data: unknown, options: PublishOptions): Promise<Published>;
    request(subject: string, data: unknown, options: RequestOptions): Promise<unknown>;
    fetch(subject: string, options: FetchOptions): Promise<Fetched>;
    cursor(subject?: string): string | undefined;
    inspect(): Omit<Inspection, 'copies'>;
    close(): void;
}
/** `wanted` keeps it connected where nobody has subscribed. */
export declare function createKernel(wanted?: boolean): Kernel;
