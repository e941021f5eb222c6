// ws.mjs URL SUBPROTOCOL: the npm package `ws` as a client.
//
// Subscribes to `a`, listens until the node closes, and prints what it got as one line of JSON. Pings are answered by the
// package itself.
import WebSocket from 'ws';

const [url, subprotocol] = process.argv.slice(2);
// Whoever started this may have failed and gone.
setTimeout(() => process.exit(1), 60_000).unref();

const CONNECT_AND_SUBSCRIBE = {
  'notifier.v1.json': '{"connect":{}}\n{"id":1,"subscribe":{"subject":"a"}}',
  // Two ClientBatches, which together are one: connect (2), and id 1 with subscribe (3).
  'notifier.v1.proto': Buffer.from('0a021200' + '0a0708011a030a0161', 'hex'),
};
const BODIES = { 2: 'event', 3: 'welcome', 4: 'subscribed', 8: 'ping', 9: 'goaway' };
const DATA_OF_EVENT = 10;

// The fields of a protobuf message: pairs of number and content.
function fields(bytes) {
  const found = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const value = varint();
    if ((key & 7) === 2) {
      found.push([key >> 3, bytes.subarray(at, at + value)]);
      at += value;
    } else {
      found.push([key >> 3, value]);
    }
  }
  return found;
}

// The frames of a message: pairs of name and, for events, their data.
function frames(message, isBinary) {
  if (!isBinary) {
    return String(message).split('\n').map((line) => {
      const [name, body] = Object.entries(JSON.parse(line)).find(([name]) => name !== 'replyTo');
      return [name, body.data];
    });
  }
  return fields(message).map(([, frame]) => {
    const [number, body] = fields(frame).find(([number]) => number !== 1);
    const name = BODIES[number];
    const data = name === 'event' && fields(body).find(([number]) => number === DATA_OF_EVENT);
    return [name, data && JSON.parse(String(data[1]))];
  });
}

const socket = new WebSocket(url, subprotocol); // offers permessage-deflate, as it does by default
const kinds = new Set(); // in the order of their first appearance, without the ping, whose time is its own
const result = { binary: false, events: [], largestBatch: 0, heartbeats: 0, pings: 0 };
socket.on('open', () => socket.send(CONNECT_AND_SUBSCRIBE[subprotocol]));
socket.on('ping', () => result.pings++);
socket.on('message', (message, isBinary) => {
  result.binary ||= isBinary;
  let batch = 0;
  for (const [name, data] of frames(message, isBinary)) {
    if (name === 'ping') {
      result.heartbeats++;
    } else {
      kinds.add(name);
    }
    if (name === 'event') {
      result.events.push(data);
      batch++;
    }
  }
  result.largestBatch = Math.max(result.largestBatch, batch);
});
socket.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
socket.on('close', (code, reason) => {
  const { protocol, extensions } = socket;
  console.log(JSON.stringify({ ...result, protocol, extensions, kinds: [...kinds], code, reason: String(reason) }));
});
