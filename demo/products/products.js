// Products: a custom element without a framework and without a build of the library, which the node serves.
import { subscribe } from '../client/v1/notifier.js';

const NAMES = { mug: 'Mug', lamp: 'Lamp', chair: 'Chair' };

customElements.define(
  'product-list',
  class extends HTMLElement {
    connectedCallback() {
      // A value that has ended has no data any more.
      const show = ({ subject, data }) => {
        const price = this.querySelector(`[data-sku="${CSS.escape(subject.split('.').at(-1))}"] .price`);
        if (price) price.textContent = data ? `€ ${data.price.toFixed(2)}` : 'no price';
      };
      this.subscription = subscribe('shop.price.*', show, { snapshot: true, label: 'products' });
      for (const button of this.querySelectorAll('button')) {
        button.onclick = () => {
          const { sku } = button.closest('[data-sku]').dataset;
          document.dispatchEvent(new CustomEvent('add-to-cart', { detail: { sku, name: NAMES[sku] } }));
        };
      }
    }

    disconnectedCallback() {
      this.subscription.unsubscribe();
    }
  },
);
