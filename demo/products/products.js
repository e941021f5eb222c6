// Products: a custom element without a framework and without a build of the library, which the node serves.
import { subscribe } from '../client/v1/notifier.js';

const NAMES = { mug: 'Mug', lamp: 'Lamp', chair: 'Chair' };

customElements.define(
  'product-list',
  class extends HTMLElement {
    connectedCallback() {
      const show = ({ data }) => {
        const price = this.querySelector(`[data-sku="${CSS.escape(data.sku)}"] .price`);
        if (price) price.textContent = `€ ${data.price.toFixed(2)}`;
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
