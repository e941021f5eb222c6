// <notifier-subscribe subject="shop.cart.u42" snapshot bind="items">: shows values, and tells events, without a script.
import { status, subscribe } from '../index.js';
import type { Gap, NotifierError, NotifierEvent } from '../types.js';
import { Running } from './base.js';

/** The text under a path such as `total.amount`; nothing where there is none, and JSON where it is more than a text. */
function textAt(data: unknown, path: string): string {
  let value = data;
  for (const key of path.split('.').filter(Boolean)) {
    value = value !== null && typeof value === 'object' && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
  }
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value as string | number | boolean);
}

export class NotifierSubscribe extends Running {
  static readonly observedAttributes = ['subject', 'snapshot', 'after'];

  protected run(): () => void {
    const subject = this.getAttribute('subject');
    if (!subject) return () => {};
    const after = this.getAttribute('after');
    let isReady = false;
    this.show('state', 'loading');
    const subscription = subscribe(subject, (event) => this.#take(event), {
      snapshot: this.hasAttribute('snapshot'),
      label: this.getAttribute('label') ?? this.localName,
      ...(after !== null && { after }),
      onGap: (gap: Gap) => void this.#tell('notifier-gap', gap),
      onError: (error: NotifierError) => {
        if (!error.retryable) this.show('state', 'error');
        this.#tell('notifier-error', error);
      },
    });
    const show = (): void => this.show('state', status.getSnapshot().status === 'online' ? 'live' : 'stale');
    const unwatch = status.subscribe(() => isReady && show());
    subscription.ready.then(
      () => {
        isReady = true;
        show();
      },
      () => {},
    );
    return () => {
      // What comes late belongs to a beginning that is over.
      isReady = false;
      unwatch();
      subscription.unsubscribe();
    };
  }

  #take(event: NotifierEvent): void {
    // A listener that prevents it shows the value in its own way.
    if (!this.#tell('notifier-event', event)) return;
    const whole = this.getAttribute('bind');
    if (whole !== null) this.textContent = textAt(event.data, whole);
    else for (const one of this.querySelectorAll<HTMLElement>('[data-bind]')) one.textContent = textAt(event.data, one.dataset.bind ?? '');
  }

  #tell(type: string, detail: NotifierEvent | Gap | NotifierError): boolean {
    return this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true, cancelable: true }));
  }
}
