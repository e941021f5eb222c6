// Products: a custom element without a framework and without a build of the library, which the node serves.
import { subscribe } from '../client/v1/notifier.js';

const NAMES = { mug: 'Mug', lamp: 'Lamp', chair: 'Chair' };

customElements.define(
  'product-list',
  class extends HTMLElement {
    connectedCallback() {
      // A value that has ended has no data any more.
      const show = (part, text) => ({ subject, data }) => {
        const place = this.querySelector(`[data-sku="${CSS.escape(subject.split('.').at(-1))}"] ${part}`);
        if (place) place.textContent = data ? text(data) : 'gone';
      };
      const follow = (subject, handler) => subscribe(subject, handler, { snapshot: true, label: 'products' });
      this.subscriptions = [
        follow('shop.price.*', show('.price', ({ price }) => `€ ${price.toFixed(2)}`)),
        follow('shop.stock.*', show('[data-stock]', ({ left }) => `${left} left`)),
      ];
      for (const button of this.querySelectorAll('button')) {
        button.onclick = () => {
          const { sku } = button.closest('[data-sku]').dataset;
          document.dispatchEvent(new CustomEvent('add-to-cart', { detail: { sku, name: NAMES[sku] } }));
        };
      }
    }

    disconnectedCallback() {
      this.subscriptions.forEach((subscription) => subscription.unsubscribe());
    }
  },
);
