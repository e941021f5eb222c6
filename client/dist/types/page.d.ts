export interface PageOwner {
    /** Something may have changed for the better: look at once. A `crowd` hears it at the same moment. */
    woke(crowd: boolean): void;
    /** The network may be gone. */
    doubted(): void;
    /** The page goes into the back/forward cache, where an open socket has no place. */
    slept(): void;
}
/** Watches until the returned function is called. */
export declare function watchPage(owner: PageOwner): () => void;
/** What the browser thinks of the network; it is often wrong, so it only names a state. */
export declare const isOffline: () => boolean;
