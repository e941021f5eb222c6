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
  if (typeof addEventListener !== 'function') return () => {};
  const listeners: [EventTarget | undefined, string, (event: Event) => void][] = [
    [globalThis, 'online', () => owner.woke(true)],
    [globalThis, 'offline', () => owner.doubted()],
    [globalThis, 'pageshow', () => owner.woke(false)],
    [globalThis, 'pagehide', (event) => (event as PageTransitionEvent).persisted && owner.slept()],
    [document, 'resume', () => owner.woke(false)],
    [document, 'visibilitychange', () => document.visibilityState === 'visible' && owner.woke(false)],
  ];
  for (const [target, name, listener] of listeners) target?.addEventListener(name, listener);
  return () => {
    for (const [target, name, listener] of listeners) target?.removeEventListener(name, listener);
  };
}

/** What the browser thinks of the network; it is often wrong, so it only names a state. */
export const isOffline = (): boolean => globalThis.navigator?.onLine === false;
