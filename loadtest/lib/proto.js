// notifier.v1.proto: as much of proto/notifier/v1/notifier.proto as these clients send and read. k6 has no library for
// protocol buffers. Frames look as they do in JSON.

const VARINT = 0;
const BYTES = 2;

// Number of a field: its name, and how to read it. Fields that are not listed are passed over.
const position = { 1: ['stream', text], 2: ['epoch', text], 3: ['seq', number] };
const event = { 1: ['subject', text], 2: ['stream', text], 3: ['seq', number], 10: ['data', json] };
const serverFrame = {
  1: ['replyTo', number],
  2: ['event', message(event)],
  3: ['welcome', message({ 1: ['connection', text], 2: ['node', text] })],
  4: ['subscribed', message({ 1: ['subject', text], 3: ['positions', message(position), true], 4: ['recovered', flag] })],
  5: ['unsubscribed', message({ 1: ['subject', text], 2: ['reason', text] })],
  6: ['replay', message({ 1: ['subject', text], 2: ['events', message(event), true], 4: ['epoch', text] })],
  7: ['gap', message({ 1: ['subject', text], 2: ['stream', text], 4: ['toSeq', number], 5: ['reason', text] })],
  8: ['ping', message({ 1: ['positions', message(position), true], 2: ['broker', text] })],
  9: ['goaway', message({ 2: ['windowMs', number], 3: ['reason', text] })],
  10: ['published', message({})],
  15: ['error', message({ 1: ['code', text], 2: ['message', text], 3: ['retryable', flag] })],
};

// The frames of one message of a node.
export function decode(buffer) {
  return read(new Uint8Array(buffer), { 1: ['frames', message(serverFrame), true] }).frames ?? [];
}

// One frame of a client as a message.
export function encode({ connect, publish, pong }) {
  let frame;
  if (connect) {
    const client = string(1, connect.client.name);
    frame = bytes(2, [...bytes(2, client), ...connect.subscriptions.flatMap(subscription)]);
  } else if (publish) {
    const event = string(10, JSON.stringify(publish.event.data));
    frame = bytes(5, [...string(1, publish.subject), ...bytes(2, event)]);
  } else if (pong) frame = bytes(9, []);
  return new Uint8Array(bytes(1, frame)).buffer;
}

function subscription({ subject, after = [] }) {
  const positions = after.flatMap(({ stream, epoch, seq }) =>
    bytes(2, [...string(1, stream), ...string(2, epoch), (3 << 3) | VARINT, ...varint(seq)]),
  );
  return bytes(3, [...string(1, subject), ...positions]);
}

function varint(value) {
  const out = [];
  for (; value >= 128; value = Math.floor(value / 128)) out.push((value % 128) | 128);
  return [...out, value];
}

function bytes(field, content) {
  return [(field << 3) | BYTES, ...varint(content.length), ...content];
}

function string(field, value) {
  const utf8 = unescape(encodeURIComponent(value));
  return bytes(field, Array.from(utf8, (char) => char.charCodeAt(0)));
}

function read(input, fields) {
  const out = {};
  let at = 0;
  const next = () => {
    // By arithmetic: a sequence may have 53 bits, and shifting has 32.
    for (let value = 0, unit = 1; ; unit *= 128) {
      const byte = input[at++];
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  while (at < input.length) {
    const key = next();
    const kind = key & 7;
    if (kind !== VARINT && kind !== BYTES) throw new Error(`wire type ${kind}, which the contract does not have`);
    const value = next();
    const start = at;
    if (kind === BYTES) at += value;
    const field = fields[key >> 3];
    if (!field) continue;
    const [name, as, repeated] = field;
    const content = as(kind === BYTES ? input.subarray(start, at) : value);
    if (repeated) (out[name] ??= []).push(content);
    else out[name] = content;
  }
  return out;
}

function message(fields) {
  return (value) => read(value, fields);
}

function text(value) {
  let out = '';
  // In parts: a call takes so many arguments and no more.
  for (let i = 0; i < value.length; i += 4096) out += String.fromCharCode.apply(null, value.subarray(i, i + 4096));
  return /[\x80-\xff]/.test(out) ? decodeURIComponent(escape(out)) : out;
}

function json(value) {
  return JSON.parse(text(value));
}

function number(value) {
  return value;
}

function flag(value) {
  return value === 1;
}
