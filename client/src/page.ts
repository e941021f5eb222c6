// What the browser tells of the page's life. Listeners stand only while somebody wants a connection, and where there is no
// page (Node, workers, React Native) there is nothing to listen to.

export interface PageOwner {
  /** Something may have changed for the better: look at once. A `crowd` hears it at the same moment. */
  woke(crowd: boolean): void;
  /** The network may be gone. */
  doubted(): void;
  /** The page goes into the back/forward cache, where an open socket has no place. */
  slept(): void;
}

/** Watches until the returned function is called. */
export function watchPage(owner: PageOwner): () => void {
  const { document } = globalThis;
  const end = new AbortController();
  const on = (target: EventTarget | undefined, name: string, listener: (event: Event) => void): void =>
    target?.addEventListener?.(name, listener, { signal: end.signal });
  const woke = (): void => owner.woke(false);
  on(globalThis, 'online', () => owner.woke(true));
  on(globalThis, 'offline', () => owner.doubted());
  on(globalThis, 'pageshow', woke);
  on(globalThis, 'pagehide', (event) => (event as PageTransitionEvent).persisted && owner.slept());
  on(document, 'resume', woke);
  on(document, 'visibilitychange', () => document.visibilityState === 'visible' && woke());
  return () => end.abort();
}

/** What the browser thinks of the network; it is often wrong, so it only names a state. */
export const isOffline = (): boolean => globalThis.navigator?.onLine === false;
