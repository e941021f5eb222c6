// `@notifier/client/worker`: the script of a SharedWorker that holds one connection for all tabs of an origin. The tabs are
// its clients by the protocol of a node; it is the client of a node by the same kernel that a page has.
import { Lines } from './lines.js';
import { Tab } from './tab.js';

const lines = new Lines();

globalThis.addEventListener?.('connect', (event) => {
  const [port] = (event as MessageEvent).ports;
  if (port) new Tab(port, lines);
});
