import type { Client } from './client.js';
import type { NotifierEvent, SubscribeOptions, Subscription } from './types.js';
export interface Outgoing {
    subject: string;
    data: unknown;
}
export interface BridgeOptions extends SubscribeOptions {
    /** The subject or pattern that is heard. */
    subject: string;
    /** The type of the CustomEvent. */
    event: string;
    /** Publish what the page dispatches, too. Under `subject`, which has to be without wildcards then, unless `out` says more. */
    both?: boolean;
    /** Where events are dispatched and heard. The document where absent, and then what reaches the window is heard as well. */
    target?: EventTarget;
    /** Makes the `detail` of the CustomEvent; the event's data where absent. */
    in?: (event: NotifierEvent) => unknown;
    /** Says under which subject what is published; nothing where it gives nothing. Implies `both`. */
    out?: (detail: unknown, event: Event) => Outgoing | null | undefined;
    /** A client of its own instead of the page's. */
    client?: Pick<Client, 'subscribe' | 'publish'>;
}
export declare function bridge({ subject, event, both, target, in: detailOf, out, client, ...options }: BridgeOptions): Subscription;
