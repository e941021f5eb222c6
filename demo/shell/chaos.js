// The buttons that break things, and the sentence that says what became of it.
import { inspect, publish, status, subscribe } from '../client/v1/notifier.js';
import { asked, issue, SHORT_LIFE } from './login.js';
import { away, block, cut, drain, fault, isBlocked, replaceToken, sharedSockets, sleep, unblock } from './network.js';

const CART = 'shop.cart.u42';
const OTHER_CART = 'shop.cart.u43';
const DELETED = 'shop.stock.chair';
/** Events of one flood, and how many of them wait for an answer at once. */
const FLOOD = 2_000;
const AT_ONCE = 200;
const AWAY_EVENTS = 5;
const SLEEP_MS = 2_000;
const LONGEST_MS = 20_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const texts = (selector) => [...document.querySelectorAll(selector)].map((one) => one.textContent);
const places = () => texts('[data-cart]');
const isEqual = () => new Set(places()).size === 1;
/** What the page lives by where it has no WebSocket. */
const WITHOUT_SOCKET = { events: '1 event stream', poll: '1 poll after the other' };
export const withoutSocket = () => WITHOUT_SOCKET[status.getSnapshot().transport];
// After a sleep the page believes for a moment that it is online.
const isLive = () =>
  sharedSockets() === (withoutSocket() ? 0 : 1) &&
  status.getSnapshot().status === 'online' &&
  inspect().subscriptions.every(({ state }) => state !== 'pending');

/** Waits for it; where that is in vain, there is a problem. */
async function until(condition, problem) {
  const end = performance.now() + LONGEST_MS;
  while (!condition() && performance.now() < end) await pause(10);
  if (problem && !condition()) throw new Error(`${problem} within ${LONGEST_MS / 1_000} s`);
}

let cart = { qty: 0 };
let replayed = 0;
export function follow() {
  const hear = (event) => (replayed += event.replayed ? 1 : 0);
  subscribe('shop.order.*', hear, { label: 'shell' });
  subscribe(CART, (event) => (hear(event), (cart = event.data)), { snapshot: true, label: 'shell' });
}

/** As a service does it, with no regard to the page's connection, and with rights of its own. */
async function asService(subject, data, headers = { 'content-type': 'application/json' }) {
  const body = data && JSON.stringify(data);
  const answer = await fetch(`v1/publish/${subject}`, { method: 'POST', body, headers });
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

/** The node is given a token of the same user that ends soon. What follows is the node's warning, and the library's. */
async function expire() {
  const { expiring } = asked;
  const { connection } = inspect();
  replaceToken(await issue(SHORT_LIFE));
  const ends = performance.now() + SHORT_LIFE * 1_000;
  await until(() => asked.expiring > expiring && performance.now() > ends, 'the node has not warned');
  const where = inspect().connection === connection ? 'on the same connection' : 'on another connection';
  return `The node warned, and the page brought a new one ${where}.`;
}

/** What the user's grants leave out, the node refuses. */
async function look() {
  const { user } = status.getSnapshot();
  let refusal;
  const subscription = subscribe(OTHER_CART, () => {}, { label: 'shell', onError: (error) => (refusal = error) });
  await subscription.ready.catch(() => {});
  subscription.unsubscribe();
  if (!refusal) throw new Error(`the node lets ${user} see it`);
  return `The node refused it to ${user} (${refusal.code}): ${refusal.message}.`;
}

async function toggleBlock() {
  if (isBlocked()) {
    unblock();
    await until(() => !withoutSocket(), 'no WebSocket was opened');
    return 'The page is back on a WebSocket.';
  }
  block();
  await until(withoutSocket, 'no event stream was opened');
  return `The page lives by ${withoutSocket()} and requests over HTTP now, with the same events in the same order.`;
}

/** Where several nodes stand behind one address, and something there can kill one: `make demo-nats`. */
async function kill() {
  const { node } = status.getSnapshot();
  const answer = await fetch(`demo/kill/${node}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`nobody could kill ${node}`);
  await until(() => status.getSnapshot().node && status.getSnapshot().node !== node, 'the page found no other node');
  return `${node} is dead, and the page is on ${status.getSnapshot().node}.`;
}

/** A service deletes a value of a `latest` subject, as one deletes a key of a bucket. */
async function deleteValue() {
  let value;
  let how;
  const hear = ({ data, gone }) => ([value, how] = [data, gone]);
  const subscription = subscribe(DELETED, hear, { snapshot: true, label: 'shell' });
  await subscription.ready;
  if (!value) await asService(DELETED, { sku: 'chair', left: 12 });
  await until(() => value, 'the value did not come');
  await asService(DELETED, undefined, { 'kv-operation': 'DEL' });
  const shown = () => texts('[data-stock="chair"]');
  await until(() => how && shown().every((text) => text === 'gone'), 'it was still shown');
  subscription.unsubscribe();
  return `All ${shown().length} components that show it say that it is gone (${how}).`;
}

const FAULTS = {
  delete: [`A service deleted ${DELETED}`, deleteValue],
  kill: ['The node was killed', kill],
  cut: ['The socket was cut', cut],
  drain: ['The node left, and the page moved first', drain],
  sleep: ['The computer slept, and its connection died without a word', () => sleep(SLEEP_MS)],
  away: [`${AWAY_EVENTS} events were published while the page was away`, publishWhileAway],
  block: [() => (isBlocked() ? 'WebSockets are refused from now on' : 'WebSockets pass again'), toggleBlock],
  token: [`The token was replaced by one of ${SHORT_LIFE} s`, expire],
  look: [`The page asked for ${OTHER_CART}, somebody else's cart`, look],
  flood: ['A flood', flood],
};

/** How long the page was without a connection, if it was. */
function absence(lostAt, backAt) {
  if (backAt === undefined) return lostAt ? 'The page is not back yet.' : 'The page stayed online.';
  const { began = lostAt, ended = lostAt } = fault;
  const since = (moment) => `${Math.round(backAt - moment)} ms after`;
  if (ended === began) return `Back ${since(began)} the cut.`;
  return `Back ${since(ended)} the node could be reached again, ${since(began)} the cut.`;
}

/** Does it, waits until all is well again, and tells what it cost. */
export async function breakIt(name) {
  const [title, run] = FAULTS[name];
  const before = inspect().counters;
  replayed = 0;
  fault.began = fault.ended = undefined;
  let lostAt;
  let backAt;
  const unwatch = status.subscribe(({ status: now }) => {
    if (now !== 'online') lostAt ??= performance.now();
    else if (lostAt) backAt ??= performance.now();
  });
  const told = () => (typeof title === 'string' ? title : title());
  let said;
  try {
    said = await run();
    await until(() => isLive() && isEqual());
  } catch (error) {
    return `${told()}: ${error.message}`;
  } finally {
    unwatch();
  }
  const gaps = inspect().counters.gaps - before.gaps;
  const missed = backAt !== undefined || replayed ? `Missed and brought after: ${replayed}.` : '';
  const shown = places();
  const cartIs = isEqual() ? `The cart is ${shown[0]} in all ${shown.length} places.` : `The carts differ: ${shown.join(', ')}.`;
  const sentences = [`${told()}.`, typeof said === 'string' ? said : '', absence(lostAt, backAt), missed, `Lost: ${gaps}.`, cartIs];
  return sentences.filter(Boolean).join(' ');
}
