// A subscription as an async iterator, with a buffer of bounded size between the connection and the loop.
import { handle, type UseKernel } from './handle.js';
import type { IterateOptions, NotifierError, NotifierEvent } from './types.js';

/** Events that may wait for a slow loop: some seconds of a busy subject. */
const BUFFERED = 1_000;

type Step = IteratorResult<NotifierEvent>;

export function iterate(
  use: UseKernel,
  subject: string,
  options: IterateOptions = {},
): AsyncIterableIterator<NotifierEvent> {
  const { buffer = BUFFERED, signal, onGap, onError } = options;
  const waiting: NotifierEvent[] = [];
  const asking: { resolve: (step: Step) => void; reject: (error: unknown) => void }[] = [];
  let end: { error?: unknown } | undefined;

  const finish = (outcome: { error?: unknown }): void => {
    end ??= outcome;
    signal?.removeEventListener('abort', aborted);
    subscription.unsubscribe();
    for (const { resolve, reject } of asking.splice(0)) {
      if ('error' in end) reject(end.error);
      else resolve({ done: true, value: undefined });
    }
  };
  const aborted = (): void => finish({});
  const take = (event: NotifierEvent): void => {
    const first = asking.shift();
    if (first) return first.resolve({ done: false, value: event });
    waiting.push(event);
    if (waiting.length <= buffer) return;
    const { stream, seq } = waiting.shift() ?? event;
    onGap?.({ subject, reason: 'overflow', ...(stream && { stream }), ...(seq && { from: seq, to: seq }) });
  };
  const refused = (error: NotifierError): void => {
    onError?.(error);
    if (!error.retryable) finish({ error });
  };
  const subscription = handle((run) => queueMicrotask(() => use(run)), subject, take, { ...options, onError: refused });
  if (signal?.aborted) end = {};
  signal?.addEventListener('abort', aborted);

  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next() {
      const event = waiting.shift();
      if (event) return Promise.resolve<Step>({ done: false, value: event });
      return new Promise((resolve, reject) => {
        asking.push({ resolve, reject });
        if (end) finish(end);
      });
    },
    return() {
      waiting.length = 0;
      finish({});
      return Promise.resolve<Step>({ done: true, value: undefined });
    },
  };
}
