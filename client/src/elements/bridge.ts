// <notifier-bridge subject="shop.cart.u42" event="cart-updated" both>: CustomEvents of the page, without a script.
import { bridge } from '../bridge.js';
import { Running } from './base.js';

export class NotifierBridge extends Running {
  static readonly observedAttributes = ['subject', 'event', 'both', 'snapshot'];

  protected run(): () => void {
    const [subject, event] = [this.getAttribute('subject'), this.getAttribute('event')];
    if (!subject || !event) return () => {};
    const { unsubscribe } = bridge({
      subject,
      event,
      both: this.hasAttribute('both'),
      snapshot: this.hasAttribute('snapshot'),
      label: this.getAttribute('label') ?? this.localName,
    });
    return unsubscribe;
  }
}
