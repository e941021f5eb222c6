// What applications see: events, options and stores. Types alone, no code.
import type { ErrorCode } from './codes.js';

/** A place in one stream: everything up to and including `seq` is known. */
export interface Position {
  stream: string;
  epoch: string;
  seq: number;
  /** Told by nodes: what the stream promises. */
  delivery?: string;
}

/** The place of an event in an atomic batch of its publisher, which comes whole and in one task. */
export interface BatchPlace {
  /** The publisher's identifier of the batch. */
  readonly id: string;
  /** The number of the event, from 1; those of events that this page may not see are missing. */
  readonly index: number;
  /** Nothing more comes of this batch. */
  readonly last?: boolean;
}

/** One event, shared by all handlers that receive it: treat it as read-only. */
export interface NotifierEvent<T = unknown> {
  readonly subject: string;
  /** The value where the payload is JSON, its bytes (`Uint8Array`) where it is not, `undefined` where it is empty. */
  readonly data: T;
  readonly id?: string;
  readonly type?: string;
  readonly source?: string;
  readonly contentType?: string;
  /** Milliseconds since the Unix epoch. */
  readonly time: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Where it is stored; absent for live subjects. */
  readonly stream?: string;
  readonly seq?: number;
  /** The value of a `latest` subject has ended: `expired`, `deleted`, `purged`, or `unknown`; a list that may grow. There is no data. */
  readonly gone?: string;
  /** Where it was published together with others: handlers get all of them in one task, stores change once. */
  readonly batch?: BatchPlace;
  /** The newest value of its subject, told because a subscription begins. */
  readonly snapshot: boolean;
  /** From before this moment: read from the stream after a cursor. */
  readonly replayed: boolean;
}

/** Events that will not come. */
export interface Gap {
  /** The subject or pattern that was subscribed. */
  readonly subject: string;
  readonly stream?: string;
  /** First and last missing sequence, where they are known. */
  readonly from?: number;
  readonly to?: number;
  /** `expired`, `overflow` or `reset`; a list that may grow. */
  readonly reason: string;
}

/** A refusal of the node, or a failure on the way there. Known by `code`, never by class: a page holds several copies. */
export interface NotifierError extends Error {
  /** A code of the node, or `closed` or `connection_lost` of this library. The list may grow. */
  readonly code: ErrorCode | 'closed' | 'connection_lost' | (string & {});
  /** The same may succeed later. */
  readonly retryable: boolean;
  readonly subject?: string;
  /** With `service_error`: what the service calls it. */
  readonly serviceCode?: string;
  readonly retryAfterMs?: number;
}

/**
 * Types of the data, by pattern. A page extends it by declaration merging:
 * `declare module '@notifier/client' { interface Subjects { 'shop.cart.*': Cart } }`.
 */
export interface Subjects {}

type Matches<P extends string, S extends string> = P extends S
  ? true
  : P extends '>'
    ? true
    : P extends `${infer Head}.${infer Rest}`
      ? S extends `${infer First}.${infer Others}`
        ? Head extends '*' | First
          ? Matches<Rest, Others>
          : false
        : false
      : P extends '*'
        ? S extends `${string}.${string}`
          ? false
          : true
        : false;

type Typed<S extends string> = {
  [P in keyof Subjects & string]: Matches<P, S> extends true ? Subjects[P] : never;
}[keyof Subjects & string];

/** The type of the data under a subject or pattern; `unknown` where `Subjects` says nothing. */
export type DataOf<S extends string> = string extends S ? unknown : [Typed<S>] extends [never] ? unknown : Typed<S>;

export interface SubscribeOptions {
  /** Ends the subscription when it aborts. */
  signal?: AbortSignal;
  /** Begin with the newest stored event of each subject, and again after a gap. */
  snapshot?: boolean;
  /** Begin behind this cursor, a text of `cursor()` or of `fetch()`. */
  after?: string;
  /** Who subscribes, for `inspect()`. */
  label?: string;
  /** Events that will not come. */
  onGap?: (gap: Gap) => void;
  /** The subscription was refused, or waits for something that may pass (`retryable`). */
  onError?: (error: NotifierError) => void;
}

export interface IterateOptions extends SubscribeOptions {
  /** Events that may wait to be taken; above it the oldest go, and `onGap` says so. 1,000 where absent. */
  buffer?: number;
}

export interface LiveOptions<T, E> extends SubscribeOptions {
  /** The value at first, as a server has rendered it; with `after`, only what came behind that is read. */
  initial?: T;
  /** Makes the next value out of the last one and an event; the event's data is the value where absent. */
  reduce?: (value: T | undefined, event: NotifierEvent<E>) => T;
}

export interface Subscription {
  readonly subject: string;
  /** Settles once the subscription is live and has told its snapshot; rejects where it is refused. */
  readonly ready: Promise<void>;
  /** Ends it; a second call does nothing. */
  unsubscribe(): void;
  [Symbol.dispose](): void;
}

/** The contract of Svelte's stores and of React's `useSyncExternalStore` at once. */
export interface Store<T> {
  /** Calls with the value now and whenever it changes, until the returned function is called. */
  readonly subscribe: (run: (value: T) => void) => () => void;
  /** The value, the same object until it changes. */
  readonly getSnapshot: () => T;
}

export interface LiveState<T> {
  readonly value: T | undefined;
  /** `loading`: no node has confirmed it yet; `stale`: the connection is lost and will be back. */
  readonly state: 'loading' | 'live' | 'stale' | 'error';
  readonly error?: NotifierError;
}

export type Status =
  | 'idle' // nothing is wanted yet
  | 'connecting'
  | 'online'
  | 'degraded' // online, but the node has lost its broker
  | 'waiting' // for the next attempt, at `retryAt`
  | 'offline' // the same, and the browser says that there is no network
  | 'suspended' // the page is in the back/forward cache
  | 'unauthorized' // two tokens were refused; `configure` tries again
  | 'closed'; // the node said not to come back; `configure` tries again

export interface StatusInfo {
  readonly status: Status;
  /** Attempts since the last connection that worked. */
  readonly attempt: number;
  /** When the next attempt is made, milliseconds since the Unix epoch. */
  readonly retryAt?: number;
  /** Why the last connection ended. */
  readonly code?: number;
  readonly reason?: string;
  readonly node?: string;
  readonly user?: string;
  /**
   * Where WebSockets are blocked: `events`, event streams and requests over HTTP; `poll`, long polls, where those are held
   * back as well. Absent: a WebSocket.
   */
  readonly transport?: Transport;
}

/** What carries a page without a WebSocket; the list may grow. */
export type Transport = 'events' | 'poll';

/** Why a token is asked for. */
export type TokenReason = 'connect' | 'expiring' | 'rejected';

export interface Config {
  /** `wss://node.example/v1/ws`; else `<meta name="notifier-url">`, else the page's own origin. */
  url?: string;
  /** Asked before each connection and each refresh, never twice at the same time. */
  token?: (context: { reason: TokenReason; signal: AbortSignal }) => string | null | undefined | Promise<string | null | undefined>;
  /** `shared`: one connection for all tabs of an origin, where the browser can. One for each page where absent. */
  tabs?: 'page' | 'shared';
  /** The script of the worker that holds it, of the page's own origin; `/client/v1/worker.js` of the node where absent. */
  worker?: string;
  /** The constructor where the platform has none, as in Node 20. */
  WebSocket?: WebSocketConstructor;
  /** The software's name and version, for the node's log. */
  client?: { name: string; version: string };
}

/** As much of a WebSocket as is used. */
export interface WebSocketLike {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string, protocols: string) => WebSocketLike;

export interface PublishOptions {
  /** Repeats under one id are stored once; made up where absent. */
  id?: string;
  type?: string;
  source?: string;
  contentType?: string;
  time?: number;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** How long to try, milliseconds, waiting for a connection included. 10,000 where absent. */
  timeout?: number;
}

/** `timeout` is 5,000 ms where absent. */
export type RequestOptions = PublishOptions;

export interface Published {
  readonly id: string;
  readonly stream?: string;
  readonly seq?: number;
  /** It was stored before under this id. */
  readonly duplicate: boolean;
}

export interface FetchOptions {
  after?: string;
  /** The newest event of each subject instead of the history. */
  last?: boolean;
  limit?: number;
  signal?: AbortSignal;
  /** 30,000 ms where absent. */
  timeout?: number;
}

export interface Fetched<T = unknown> {
  readonly events: readonly NotifierEvent<T>[];
  /** Go on from here, with `fetch` or `subscribe`. */
  readonly cursor: string;
  /** There is more behind the cursor. */
  readonly more: boolean;
  readonly gaps: readonly Gap[];
}

export interface Inspection {
  readonly version: string;
  /** The versions of all copies on the page. */
  readonly copies: readonly string[];
  readonly status: StatusInfo;
  readonly connection?: string;
  readonly subscriptions: readonly {
    readonly subject: string;
    readonly state: 'pending' | 'live' | 'refused';
    readonly delivery?: string;
    readonly handlers: number;
    readonly labels: readonly string[];
    readonly cursor: string;
    /** How many came, and the newest of them. */
    readonly events: number;
    readonly last?: NotifierEvent;
    /** How many were told, and the newest of them. */
    readonly gaps: number;
    readonly gap?: Gap;
  }[];
  readonly counters: Readonly<Record<'dials' | 'events' | 'duplicates' | 'gaps', number>>;
}
