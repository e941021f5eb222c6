// The buttons that break things, and the sentence that says what became of it.
import { inspect, publish, status, subscribe } from '../client/v1/notifier.js';
import { away, cut, drain, expireToken, openSockets, SharedSocket, sleep } from './network.js';

const CART = 'shop.cart.u42';
/** Events of one flood, and how many of them wait for an answer at once. */
const FLOOD = 2_000;
const AT_ONCE = 200;
const AWAY_EVENTS = 5;
const SLEEP_MS = 2_000;
const LONGEST_MS = 15_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const places = () => [...document.querySelectorAll('[data-cart]')].map((one) => one.textContent);
const isEqual = () => new Set(places()).size === 1;
// After a sleep the page believes for a moment that it is online.
const isLive = () =>
  openSockets(SharedSocket) === 1 &&
  status.getSnapshot().status === 'online' &&
  inspect().subscriptions.every(({ state }) => state !== 'pending');

async function until(condition) {
  const end = performance.now() + LONGEST_MS;
  while (!condition() && performance.now() < end) await pause(10);
}

let cart = { qty: 0 };
let replayed = 0;
export function follow() {
  const hear = (event) => (replayed += event.replayed ? 1 : 0);
  subscribe('shop.order.*', hear, { label: 'shell' });
  subscribe(CART, (event) => (hear(event), (cart = event.data)), { snapshot: true, label: 'shell' });
}

/** As a service does it, with no regard to the page's connection. */
async function asService(subject, data) {
  const answer = await fetch(`v1/publish/${subject}`, {
    method: 'POST',
    body: JSON.stringify(data),
    headers: { 'content-type': 'application/json' },
  });
  if (!answer.ok) throw new Error(`the node refused ${subject}: ${await answer.text()}`);
}

async function publishWhileAway() {
  await away(async () => {
    const { qty, items = {} } = cart;
    for (let more = 1; more <= AWAY_EVENTS; more++) {
      await asService(CART, { qty: qty + more, items: { ...items, mug: (items.mug ?? 0) + more } });
    }
    await pause(SLEEP_MS);
  });
}

async function flood() {
  const began = performance.now();
  const send = () => publish('shop.price.mug', { sku: 'mug', price: Math.round(Math.random() * 9_000) / 100 });
  for (let sent = 0; sent < FLOOD; sent += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, send));
  return `${FLOOD} events went to the node and came back in ${Math.round(performance.now() - began)} ms.`;
}

const tokens = { brought: 0 };
export const token = () => {
  tokens.brought += 1;
  return `demo-${tokens.brought}`;
};
async function expire() {
  const before = tokens.brought;
  expireToken();
  await until(() => tokens.brought > before);
  return 'The page was asked for a new token and brought it, on the same connection.';
}

/** Where several nodes stand behind one address, and something there can kill one: `make demo-nats`. */
async function kill() {
  const { node } = status.getSnapshot();
  const answer = await fetch(`demo/kill/${node}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`nobody could kill ${node}`);
  await until(() => status.getSnapshot().node && status.getSnapshot().node !== node);
  return `${node} is dead, and the page is on ${status.getSnapshot().node}.`;
}

/** A service of a key-value bucket deletes a key; where there is a NATS server, as above. */
async function deleteValue() {
  const subject = 'shop.stock.chair';
  let how;
  const subscription = subscribe(subject, ({ gone }) => (how ??= gone), { label: 'shell' });
  await subscription.ready;
  const answer = await fetch(`demo/delete/${subject}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`nobody could delete ${subject}`);
  await until(() => how);
  subscription.unsubscribe();
  return `${subject} is ${how ?? 'still there'}, and all who show it were told.`;
}

const FAULTS = {
  delete: ['A value was deleted', deleteValue],
  kill: ['The node was killed', kill],
  cut: ['The socket was cut', cut],
  drain: ['The node left, and the page moved first', drain],
  sleep: ['The computer slept, and its connection died without a word', () => sleep(SLEEP_MS)],
  away: [`${AWAY_EVENTS} events were published while the page was away`, publishWhileAway],
  token: ['The token was about to expire', expire],
  flood: ['A flood', flood],
};

/** Does it, waits until all is well again, and tells what it cost. */
export async function breakIt(name) {
  const [title, run] = FAULTS[name];
  const before = inspect().counters;
  replayed = 0;
  let lostAt;
  let backAfter;
  const unwatch = status.subscribe(({ status: now }) => {
    if (now !== 'online') lostAt ??= performance.now();
    else if (lostAt) backAfter ??= Math.round(performance.now() - lostAt);
  });
  let said;
  try {
    said = await run();
    await until(() => isLive() && isEqual());
  } catch (error) {
    return `${title}: ${error.message}`;
  } finally {
    unwatch();
  }
  const gaps = inspect().counters.gaps - before.gaps;
  const back = backAfter === undefined ? 'The page stayed online.' : `Back after ${backAfter} ms.`;
  const counted = `Missed and brought after: ${replayed}. Lost: ${gaps}.`;
  const shown = places();
  const cartIs = isEqual() ? `The cart is ${shown[0]} in all ${shown.length} places.` : `The carts differ: ${shown.join(', ')}.`;
  const sentences = [`${title}.`, typeof said === 'string' ? said : '', back, counted, cartIs];
  return sentences.filter(Boolean).join(' ');
}
