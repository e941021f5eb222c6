// Cart badge: React. It hears the subject that the cart hears, over the same connection.
import { createRoot } from 'react-dom/client';
import { useLive } from '@notifier/client/react';

function Badge() {
  const { value, state } = useLive('shop.cart.u42', { snapshot: true, label: 'cart badge' });
  return (
    <a href="#cart" className={`badge ${state}`}>
      Cart <b data-cart>{value?.qty ?? 0}</b>
    </a>
  );
}

createRoot(document.getElementById('badge')).render(<Badge />);
