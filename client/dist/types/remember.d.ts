import type { Client } from './client.js';
import type { DataOf, LiveOptions, LiveState, Store } from './types.js';
export interface RememberOptions {
    /** The user, as the node names it. What is kept for another one is deleted. */
    user: string;
    /** `sessionStorage` keeps it for the tab. `localStorage` where absent. */
    storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
    /** A client of its own instead of the page's. */
    client?: Pick<Client, 'live' | 'cursor' | 'status'>;
}
export interface Memory {
    /** As `live()`, beginning with the value of the last visit. */
    live<S extends string, T = DataOf<S>, E = DataOf<S>>(subject: S, options?: LiveOptions<T, E>): Store<LiveState<T>>;
    /** Keeps what is known now; happens by itself when the page is hidden or left. */
    save(): void;
    /** Deletes all that is kept, and keeps nothing more. */
    clear(): void;
}
/** Keeps values of one user. Storage that is full, forbidden or absent, as on a server, keeps nothing. */
export declare function remember({ user, storage, client }: RememberOptions): Memory;
