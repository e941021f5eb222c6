// One event stream: a request for a set of patterns, and the frames that come for it, each under the number of the
// subscription that it is for. docs/protocol.md, "Event streams".
import { CLOSE_CODES } from './codes.js';
import { Cursor } from './cursor.js';
import type { ServerFrame } from './frames.js';
import { frameOf, type Http } from './http.js';
import { covers } from './subject.js';
import { LOST } from './transport.js';
import type { Position } from './types.js';


/** A subscription of the page: the number of its request, and where it began. */
export interface Pattern {
  readonly id: number | undefined;
  readonly after: Position[] | undefined;
}

export interface StreamOwner {
  frame(stream: EventStream, frame: ServerFrame): void;
  /** It has ended; `error` is the node's refusal where that is one. */
  ended(stream: EventStream, code: number, reason: string, error?: ServerFrame['error']): void;
}

const codeOf = (name: string | undefined): number =>
  Number(Object.entries(CLOSE_CODES).find(([, known]) => known === name)?.[0] ?? LOST);

export class EventStream {
  /** Whether its patterns bring events: they all begin together. */
  isLive = false;
  /** How far it has come: one position for each stream that its patterns reach. */
  readonly cursor = new Cursor();

  readonly #owner: StreamOwner;
  readonly #abort = new AbortController();
  readonly #epochs = new Map<string, string>();
  /** Patterns that are refused while others may be granted. */
  readonly #refused = new Set<string>();
  #end: [code: number, reason: string] | undefined;

  constructor(
    http: Http,
    readonly patterns: ReadonlyMap<string, Pattern>,
    owner: StreamOwner,
  ) {
    this.#owner = owner;
    this.#run(http).then(
      () => this.#ended(...(this.#end ?? [LOST, 'the event stream has ended'])),
      (error: unknown) => this.#ended(LOST, error instanceof Error ? error.message : String(error)),
    );
  }

  close(): void {
    this.#abort.abort();
  }

  #ended(code: number, reason: string, error?: ServerFrame['error']): void {
    if (this.#abort.signal.aborted) return;
    this.close();
    this.#owner.ended(this, code, reason, error);
  }

  async #run(http: Http): Promise<void> {
    const subscriptions = [...this.patterns].map(([subject, { after }]) => ({ subject, after }));
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ subscriptions }) };
    const response = await http.send('events', init, this.#abort.signal);
    if (!response.ok || !response.body) {
      const { error } = await frameOf(response);
      return this.#ended(codeOf(error?.code), error?.message ?? '', error);
    }
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      // A message counts when its empty line has come.
      const end = text.lastIndexOf('\n\n') + 1;
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end);
      for (const line of lines) {
        if (line.startsWith('data:')) this.#take(JSON.parse(line.slice(5)) as ServerFrame);
        if (this.#abort.signal.aborted) return;
      }
    }
  }

  /** Follows how far the stream has come, and tells a frame once for each pattern that it is for. */
  #take(frame: ServerFrame): void {
    const { event, replay, subscribed, gap, ping, goaway, error } = frame;
    const subject = subscribed?.subject ?? gap?.subject ?? frame.unsubscribed?.subject ?? error?.subject;
    if (event?.stream) this.cursor.raise(event.stream, event.seq ?? 0);
    if (error && this.patterns.has(error.subject ?? '')) this.#refused.add(error.subject ?? '');
    if (subscribed || this.#refused.size === this.patterns.size) this.isLive = true;
    for (const position of [...(subscribed?.positions ?? []), ...(ping?.positions ?? [])]) this.cursor.join(position);
    if (gap?.stream && gap.reason === 'reset') this.cursor.reset(gap.stream, gap.epoch);
    else if (gap?.stream && gap.toSeq) this.cursor.raise(gap.stream, gap.toSeq);
    if (replay) this.#replay(replay);
    // Said before the end, with the reason of a Close frame.
    else if (goaway && !goaway.windowMs) this.#end = [codeOf(goaway.reason), goaway.reason ?? ''];
    else this.#tell(frame, subject);
  }

  #replay(replay: NonNullable<ServerFrame['replay']>): void {
    const { events = [], snapshot = false, complete, subject } = replay;
    const stream = events[0]?.stream ?? replay.stream;
    if (stream && replay.epoch) this.#epochs.set(stream, replay.epoch);
    const epoch = this.#epochs.get(stream ?? '');
    for (const [pattern, { after }] of this.patterns) {
      if (subject && subject !== pattern) continue;
      // History is for those who asked for it; others have what comes from `subscribed` on.
      const wants = snapshot || after?.some((position) => position.stream === stream);
      // Copies, since each becomes an event of its own.
      const matching = wants ? structuredClone(events.filter((event) => covers(pattern, event.subject))) : [];
      if (!matching.length && !complete) continue;
      this.#tell({ replay: { ...replay, subject: pattern, events: matching, ...(epoch && { epoch }) } }, pattern);
    }
  }

  #tell(frame: ServerFrame, subject: string | undefined): void {
    const { replyTo: _, ...body } = frame;
    const id = this.patterns.get(subject ?? '')?.id;
    if (!this.#abort.signal.aborted) this.#owner.frame(this, id ? { replyTo: id, ...body } : body);
  }
}
