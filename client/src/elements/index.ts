// `@notifier/client/elements`: what a page can say in HTML. An import has no effect; `define()` names the elements.
import { NotifierBridge } from './bridge.js';
import { NotifierStatus } from './status.js';
import { NotifierSubscribe } from './subscribe.js';

export { NotifierBridge, NotifierStatus, NotifierSubscribe };

declare global {
  interface HTMLElementTagNameMap {
    'notifier-bridge': NotifierBridge;
    'notifier-status': NotifierStatus;
    'notifier-subscribe': NotifierSubscribe;
  }
}

/** Names the elements of this page. Names that stand, by this copy or another one, stay; on a server nothing happens. */
export function define(): void {
  const { customElements } = globalThis;
  if (!customElements) return;
  const elements = { 'notifier-bridge': NotifierBridge, 'notifier-status': NotifierStatus, 'notifier-subscribe': NotifierSubscribe };
  for (const [name, element] of Object.entries(elements)) {
    if (!customElements.get(name)) customElements.define(name, element);
  }
}
