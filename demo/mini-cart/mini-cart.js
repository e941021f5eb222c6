// Mini-cart: a script of 2015 that knows CustomEvents and nothing of the library. A bridge in the page serves it.
(function () {
  var box = document.getElementById('mini-cart');
  var count = box.querySelector('[data-cart]');
  document.addEventListener('cart-updated', function (event) {
    count.textContent = event.detail.qty;
  });
  box.querySelector('button').onclick = function () {
    document.dispatchEvent(new CustomEvent('cart-updated', { bubbles: true, detail: { qty: 0, items: {} } }));
  };
})();
