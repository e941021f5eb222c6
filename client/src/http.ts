// Requests to a node over HTTP, for pages without a WebSocket.
import { decoded } from './event.js';
import type { BodyOf, ServerFrame, WireError, WireEvent } from './frames.js';

/** What one of these frames asks is answered by one HTTP request. */
export type Asking = Partial<{ publish: BodyOf<'publish'>; request: BodyOf<'request'>; fetch: BodyOf<'fetch'> }>;

/** Headers of an event that HTTP carries as they are. */
const AS_THEY_ARE = ['traceparent', 'tracestate', 'KV-Operation'];

export class Http {
  token: string | undefined;
  readonly #base: string;
  readonly #abort = new AbortController();

  /** `url` is that of the WebSocket. */
  constructor(url: string) {
    this.#base = url.replace(/^ws/, 'http').replace(/\/ws(\?.*)?$/, '/');
  }

  /** Ends all requests. */
  close(): void {
    this.#abort.abort();
  }

  send(path: string, init: RequestInit & { headers?: Record<string, string> }, signal?: AbortSignal): Promise<Response> {
    const headers = { ...init.headers, ...(this.token && { authorization: `Bearer ${this.token}` }) };
    return fetch(this.#base + path, { cache: 'no-store', ...init, headers, signal: signal ?? this.#abort.signal });
  }

  /** The frame that answers; rejects where there is none, as when the network is gone. */
  async ask({ publish, request, fetch: read }: Asking): Promise<ServerFrame> {
    if (read) {
      const { subject, after = [], last, limit } = read;
      const query = new URLSearchParams({ subject, ...(last && { last: 'true' }), ...(limit && { limit: String(limit) }) });
      for (const { stream, epoch, seq = 0 } of after) query.append('after', `${stream}/${epoch}/${seq}`);
      return frameOf(await this.send(`fetch?${query}`, {}));
    }
    const { subject, event } = (publish ?? request) as BodyOf<'publish'>;
    const headers = headersOf(event);
    if (!headers) return { error: { code: 'unsupported', message: 'without a WebSocket the headers of an event are `ce-*`, `KV-Operation` and `traceparent`' } };
    const query = request ? `?timeoutMs=${request.timeoutMs}` : '';
    const path = `${request ? 'request' : 'publish'}/${encodeURIComponent(subject)}${query}`;
    return frameOf(await this.send(path, { method: 'POST', headers, body: payloadOf(event) }));
  }
}

/** A frame out of an answer's body. What is none comes from something between the page and the node. */
export async function frameOf(response: Response): Promise<ServerFrame & { error?: WireError }> {
  const frame = (await response.json()) as ServerFrame;
  const seconds = Number(response.headers.get('retry-after'));
  return frame.error && seconds ? { error: { retryAfterMs: seconds * 1_000, ...frame.error } } : frame;
}

/** As bytes, for which a browser makes up no content type. */
function payloadOf({ data, dataBase64 }: Partial<WireEvent>): BodyInit {
  if (dataBase64 !== undefined) return decoded(dataBase64) as BodyInit;
  return new TextEncoder().encode(data === undefined ? '' : JSON.stringify(data));
}

/** Percent-encoded, as the CloudEvents NATS binding says: `ce-id` holds what `Nats-Msg-Id` cannot. */
function headersOf({ id, type, source, time, contentType, headers = {} }: Partial<WireEvent>): Record<string, string> | undefined {
  const attributes = { id, type, source, time: time === undefined ? undefined : new Date(time).toISOString() };
  const all: Record<string, string> = contentType === undefined ? {} : { 'content-type': contentType };
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) all[`ce-${name}`] = encodeURIComponent(value);
  for (const [name, value] of Object.entries(headers)) {
    if (AS_THEY_ARE.includes(name)) all[name] = value;
    else if (name.startsWith('ce-')) all[name] = encodeURIComponent(value);
    else return undefined;
  }
  return all;
}
