// One connection for all tabs of an origin: a way to dial that leads to a SharedWorker. Loaded where `tabs: 'shared'` asks
// for it.
import { type FromPage, type FromWorker, READ_EVERY } from './port.js';
import type { Dial, Transport } from './transport.js';
import { deadline } from './watchdog.js';

/** Milliseconds for a worker to say a first word: its script may have to be fetched. */
const WORKER_MS = 3_000;
const NAME = 'notifier';

/** Scripts that were no worker: this page does not wait for them again. */
const broken = new Set<string>();

/** The worker's script that the node serves. */
const served = (url: string): string => url.replace(/^ws/, 'http').replace(/\/v1\/ws$/, '/client/v1/worker.js');

/** Dials through the worker; `alone`, where there is none, or it does not answer. */
export const sharedTabs =
  (alone: Dial, script?: string): Dial =>
  (url, events) => {
    const address = script ?? served(url);
    if (!globalThis.SharedWorker || broken.has(address)) return alone(url, events);
    let worker: SharedWorker;
    try {
      // It lives on for a while when a page is left for the next one of the same site, in browsers that know how.
      worker = new SharedWorker(address, { name: NAME, extendedLifetime: true } as WorkerOptions);
    } catch {
      // Of another origin than the page, or forbidden by its policy.
      broken.add(address);
      return alone(url, events);
    }
    const { port } = worker;
    const post = (message: FromPage): void => port.postMessage(message);
    let instead: Transport | undefined;
    let read = 0;
    const detach = (): void => {
      cancel();
      globalThis.removeEventListener?.('pagehide', close);
      post({ close: true });
      port.close();
    };
    const close = (): void => (instead ? instead.close() : detach());
    const giveUp = (): void => {
      if (instead) return;
      broken.add(address);
      detach();
      instead = alone(url, events);
    };
    const cancel = deadline(WORKER_MS, giveUp);
    worker.onerror = giveUp;
    port.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.opened) {
        cancel();
        worker.onerror = null;
        events.opened();
      }
      if (data.text !== undefined) {
        read += data.text.length;
        if (read >= READ_EVERY) {
          post({ read });
          read = 0;
        }
        events.received(data.text);
      }
      if (data.closed) {
        detach();
        events.closed(...data.closed);
      }
    };
    // Nothing else tells the worker of a page that is left.
    globalThis.addEventListener?.('pagehide', close);
    post({ dial: url });
    return { send: (text) => (instead ? instead.send(text) : post({ text })), close };
  };
