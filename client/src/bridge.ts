// Events of a subject as CustomEvents of the page, and back: for components that know nothing of this library.
import type { Client } from './client.js';
import { failure, report } from './error.js';
import { freshId } from './event.js';
import { DISPOSE } from './handle.js';
import * as page from './index.js';
import type { NotifierError, NotifierEvent, SubscribeOptions, Subscription } from './types.js';

/** Marks CustomEvents that come from a subject, so that no bridge of any copy of this library publishes them again. */
const BRIDGED = Symbol.for('notifier.bridged');
/** Own events whose copies may still come: more than a page publishes while a connection is away. */
const REMEMBERED = 1_000;

export interface Outgoing {
  subject: string;
  data: unknown;
}

export interface BridgeOptions extends SubscribeOptions {
  /** The subject or pattern that is heard. */
  subject: string;
  /** The type of the CustomEvent. */
  event: string;
  /** Publish what the page dispatches, too. Under `subject`, which has to be without wildcards then, unless `out` says more. */
  both?: boolean;
  /** Where events are dispatched and heard. The document where absent, and then what reaches the window is heard as well. */
  target?: EventTarget;
  /** Makes the `detail` of the CustomEvent; the event's data where absent. */
  in?: (event: NotifierEvent) => unknown;
  /** Says under which subject what is published; nothing where it gives nothing. Implies `both`. */
  out?: (detail: unknown, event: Event) => Outgoing | null | undefined;
  /** A client of its own instead of the page's. */
  client?: Pick<Client, 'subscribe' | 'publish'>;
}

export function bridge({ subject, event, both, target, in: detailOf, out, client = page, ...options }: BridgeOptions): Subscription {
  const into = target ?? globalThis.document;
  const from = target ?? globalThis;
  const own = new Set<string>();

  const dispatch = (received: NotifierEvent): void => {
    // The page has seen its own event when it was dispatched.
    if (received.id !== undefined && own.delete(received.id)) return;
    const detail = detailOf ? detailOf(received) : received.data;
    const told = new CustomEvent(event, { detail, bubbles: true, composed: true });
    Object.defineProperty(told, BRIDGED, { value: true });
    into?.dispatchEvent(told);
  };
  const failed = (error: unknown): void => {
    if (options.onError) options.onError(error as NotifierError);
    else report(error);
  };
  const publish = (dispatched: Event): void => {
    if (BRIDGED in dispatched) return;
    const { detail = null } = dispatched as CustomEvent<unknown>;
    const outgoing = out ? out(detail, dispatched) : { subject, data: detail };
    if (!outgoing) return;
    const id = freshId();
    own.add(id);
    for (const oldest of own) if (own.size > REMEMBERED) own.delete(oldest);
    client.publish(outgoing.subject, outgoing.data, { id }).catch((error: unknown) => {
      own.delete(id);
      failed(error);
    });
  };

  const subscription = client.subscribe(subject, dispatch, options);
  // On a server there is neither a document nor anybody who dispatches.
  if ((both || out) && into) {
    if (!out && /[*>]/.test(subject)) failed(failure('bad_subject', `\`out\` has to say where to publish: ${subject} is a pattern`));
    else from.addEventListener(event, publish);
  }
  const unsubscribe = (): void => {
    from.removeEventListener?.(event, publish);
    options.signal?.removeEventListener('abort', unsubscribe);
    subscription.unsubscribe();
  };
  options.signal?.addEventListener('abort', unsubscribe);
  if (options.signal?.aborted) unsubscribe();
  return { ...subscription, unsubscribe, [DISPOSE]: unsubscribe } as Subscription;
}
