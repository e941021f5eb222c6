// The shell: the page's frame, and the one place that says where and as whom to connect.
import { configure, inspect, status, subscribe } from '../client/v1/notifier.js';
import { define } from '../client/v1/elements.js';
import { define as defineInspector } from '../client/v1/inspector.js';
import { breakIt, follow, withoutSocket } from './chaos.js';
import { token } from './login.js';
import { isBlocked, ownSockets, sharedSockets, watchSockets } from './network.js';
import { OldWay } from './old-way.js';

const TEAMS = 7;
const FRAMEWORKS = 5;
const SHOWN_EVERY_MS = 500;

const $ = (id) => document.getElementById(id);
const node = new URL('v1/ws', document.baseURI);
node.protocol = node.protocol.replace('http', 'ws');

configure({ url: node.href, token, client: { name: 'webshop', version: '1.0.0' } });
define();
follow();
subscribe('shop.deal', ({ data }) => ($('deal').textContent = data.text), { label: 'shell' });

const count = (number, word) => `${number} ${word}${number === 1 ? '' : 's'}`;
const cell = (text) => Object.assign(document.createElement('td'), { textContent: text });
function row(...texts) {
  const made = document.createElement('tr');
  made.append(...texts.map(cell));
  return made;
}
let oldWay;

function headline() {
  const versions = new Set(inspect().copies).size;
  $('counted').textContent = `${TEAMS} teams, ${FRAMEWORKS} frameworks, ${count(versions, 'client version')}: `;
  $('sockets').textContent = withoutSocket() ?? count(sharedSockets(), 'socket');
  $('block').textContent = isBlocked() ? 'Unblock WebSocket' : 'Block WebSocket';
  for (const button of document.querySelectorAll('[data-needs=socket]')) button.disabled = isBlocked() || !!withoutSocket();
}
watchSockets(headline);
status.subscribe(headline);

$('curl').textContent = $('curl').textContent.replace('http://127.0.0.1:8080', location.origin);

// ------------------------------------------------------------------- the old way

function compare() {
  const { components } = oldWay;
  $('old-sockets').textContent = count(ownSockets(), 'socket');
  $('old-lost').textContent = `${count(oldWay.lost, 'event')} lost`;
  $('old-lost').className = oldWay.lost ? 'bad' : '';
  $('old-rows').replaceChildren(
    ...components.map((one) => {
      const state = one.socket.isOpen ? 'open' : one.socket.isDead ? 'dead, and does not know it' : 'connects again';
      const shown = one.showsCart ? `cart: ${one.cart ?? 'unknown'}` : '';
      return row(one.name, one.subject, state, shown, one.lost);
    }),
  );
}
$('old-way').onchange = ({ target }) => {
  oldWay?.stop();
  oldWay = target.checked ? new OldWay(node.href) : undefined;
  $('old').hidden = !oldWay;
  if (oldWay) compare();
};

// --------------------------------------------------------------------- the buttons

// `?nodes` says that several nodes on a NATS server stand behind this address.
$('kill').hidden = !new URLSearchParams(location.search).has('nodes');

let isBusy = false;
for (const button of document.querySelectorAll('[data-break]')) {
  button.onclick = async () => {
    if (isBusy) return;
    isBusy = true;
    $('result').textContent = `${button.textContent} …`;
    $('result').textContent = await breakIt(button.dataset.break);
    isBusy = false;
  };
}

// ------------------------------------------------------------------- the inspector

$('inspector').ontoggle = () => {
  const { version, copies } = inspect();
  $('kernel').textContent = `The copy of version ${version} runs for all: ${[...new Set(copies)].join(', ')}.`;
  defineInspector();
};

setInterval(() => {
  headline();
  if (oldWay) compare();
}, SHOWN_EVERY_MS);
