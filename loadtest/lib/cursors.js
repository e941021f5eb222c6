// How far a client is, by subscription and stream: docs/protocol.md, "Positions and resuming". Pure.

export class Cursors {
  constructor(subscriptions) {
    // Subscription, then stream: { epoch, seq }.
    this.known = new Map(subscriptions.map((subject) => [subject, new Map()]));
    this.live = new Set();
  }

  // The positions to give back when connecting again. Nothing is live on a new connection.
  after(subject) {
    this.live.delete(subject);
    return Array.from(this.known.get(subject), ([stream, { epoch, seq }]) => ({ stream, epoch, seq }));
  }

  // The positions count, below what was known too: a stream that begins anew does.
  subscribed({ subject, positions = [] }) {
    this.live.add(subject);
    for (const { stream, epoch, seq = 0 } of positions) this.known.get(subject)?.set(stream, { epoch, seq });
  }

  // The first frame of each stream names the epoch.
  replay({ subject, epoch, events = [] }) {
    for (const { stream, seq } of events) {
      const streams = this.known.get(subject);
      if (!streams) return;
      const cursor = streams.get(stream);
      if (cursor) Object.assign(cursor, { seq, ...(epoch && { epoch }) });
      else if (epoch) streams.set(stream, { epoch, seq });
    }
  }

  // A stored event raises every live subscription that reaches its stream (rule 1 for clients).
  event({ stream, seq }) {
    if (stream) this.raise(stream, seq);
  }

  ping(positions) {
    for (const { stream, seq = 0 } of positions) this.raise(stream, seq);
  }

  gap({ subject, stream, toSeq, reason }) {
    const streams = this.known.get(subject);
    if (reason === 'reset') streams?.delete(stream);
    else if (stream && toSeq) Object.assign(streams?.get(stream) ?? {}, { seq: toSeq });
  }

  raise(stream, seq) {
    for (const subject of this.live) {
      const cursor = this.known.get(subject)?.get(stream);
      if (cursor && seq > cursor.seq) cursor.seq = seq;
    }
  }
}
