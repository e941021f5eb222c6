// Events between the wire and the application, both ways. A value that a node cannot read would end the connection of
// every component on the page, so each field is checked here and refused to the one who hands it over.
import { unreadable } from './error.js';
import type { WireEvent, WireGap } from './frames.js';
import { isText } from './subject.js';
import type { Gap, NotifierEvent, PublishOptions } from './types.js';

export const decoded = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

export const encoded = (bytes: Uint8Array): string => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));

/** Makes the event out of the parsed frame itself, which is nobody else's: a copy would double what an event costs. */
export function received(wire: WireEvent, snapshot = false, replayed = false): NotifierEvent {
  if (wire.dataBase64 !== undefined) {
    wire.data = decoded(wire.dataBase64);
    delete wire.dataBase64;
  }
  return Object.assign(wire, { data: wire.data, time: wire.time ?? 0, snapshot, replayed });
}

export const gapOf = ({ subject, stream, fromSeq, toSeq, reason }: WireGap): Gap => ({
  subject,
  reason,
  ...(stream && { stream }),
  ...(fromSeq && { from: fromSeq }),
  ...(toSeq && { to: toSeq }),
});

/**
 * An identifier under which repeats are known. Not `randomUUID`, which exists in secure contexts only; React Native has no
 * `crypto` at all.
 */
export function freshId(): string {
  const bytes = new Uint8Array(12);
  const random = globalThis.crypto?.getRandomValues(bytes) ?? bytes.map(() => Math.random() * 256);
  return [...random].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The event to send; throws where the node could not read it. */
export function sent(data: unknown, options: PublishOptions): Partial<WireEvent> {
  const { id, type, source, contentType, time, headers } = options;
  const texts = Object.entries({ id, type, source, contentType, ...headers });
  const odd = texts.find(([name, value]) => !isText(name) || (value !== undefined && !isText(value)));
  if (odd) throw unreadable(odd[0], 'text');
  // Milliseconds since the Unix epoch.
  if (time !== undefined && !(Number.isSafeInteger(time) && time >= 0)) throw unreadable('time', 'time');
  const event: Partial<WireEvent> = {};
  if (data instanceof Uint8Array) event.dataBase64 = encoded(data);
  // What JSON has no word for (a function, a symbol) is refused; `undefined` is the empty payload.
  else if (data !== undefined && JSON.stringify(data) === undefined) throw unreadable('data', 'JSON');
  else event.data = data;
  return Object.assign(event, { id, type, source, contentType, time }, headers && { headers: { ...headers } });
}
