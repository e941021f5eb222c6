// Cart: Lit. A click shows at once and is confirmed by its event, which all other components hear as well.
import { html, LitElement } from 'lit';
import { publish } from '@notifier/client';
import { optimistic } from '@notifier/client/optimistic';

const SUBJECT = 'shop.cart.u42';

/** The cart with one product more or less. Services may send `qty` alone; such things have no name here. */
function change(cart, { sku, by }) {
  const items = { ...cart?.items };
  const count = Math.max(0, (items[sku] ?? 0) + by);
  const qty = Math.max(0, (cart?.qty ?? 0) + count - (items[sku] ?? 0));
  if (count) items[sku] = count;
  else delete items[sku];
  return { qty, items };
}

const cart = optimistic(SUBJECT, {
  snapshot: true,
  label: 'cart',
  apply: change,
  send: (command, { id, signal }) => publish(SUBJECT, cart.getSnapshot().value, { id, signal }),
});

class CartPanel extends LitElement {
  // The page's styles hold for this one, too.
  createRenderRoot() {
    return this;
  }

  connectedCallback() {
    super.connectedCallback();
    this.stop = cart.subscribe(() => this.requestUpdate());
    this.add = ({ detail }) => this.change(detail.sku, 1);
    document.addEventListener('add-to-cart', this.add);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.stop();
    document.removeEventListener('add-to-cart', this.add);
  }

  change(sku, by) {
    this.problem = '';
    cart.run({ sku, by }).catch((error) => {
      this.problem = `Not saved: ${error.message}`;
      this.requestUpdate();
    });
  }

  render() {
    const { value, state, pending } = cart.getSnapshot();
    const items = Object.entries(value?.items ?? {});
    const named = items.reduce((sum, [, count]) => sum + count, 0);
    const others = (value?.qty ?? 0) - named;
    return html`
      <p class="big"><b data-cart>${value?.qty ?? 0}</b> in the cart
        <span class="note">${pending ? 'saving' : state === 'live' ? '' : state}</span></p>
      <ul class="lines">
        ${items.map(
          ([sku, count]) => html`<li><span>${sku}</span>
            <button type="button" aria-label="One ${sku} less" @click=${() => this.change(sku, -1)}>−</button>
            <b>${count}</b>
            <button type="button" aria-label="One ${sku} more" @click=${() => this.change(sku, 1)}>+</button></li>`,
        )}
        ${others > 0 ? html`<li><span>put in by a service</span><b>${others}</b></li>` : ''}
      </ul>
      <p class="note" role="alert">${this.problem ?? ''}</p>`;
  }
}
customElements.define('cart-panel', CartPanel);
