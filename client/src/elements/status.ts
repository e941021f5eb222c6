// <notifier-status>: the state of the connection, for eyes and for screen readers.
import { configure, status } from '../index.js';
import type { Status, StatusInfo } from '../types.js';
import { Running } from './base.js';

/** Texts; the attribute `label-STATUS` of the element changes one. `{s}` are the seconds until the next attempt. */
const LABELS: Record<Status, string> = {
  idle: 'Not connected',
  connecting: 'Connecting',
  online: 'Live',
  degraded: 'Updates are delayed',
  waiting: 'Reconnecting in {s} s',
  offline: 'No network',
  suspended: 'Paused',
  unauthorized: 'Signed out',
  closed: 'Disconnected',
};
/** States that last for a shorter time are shown, but not read out: a connection that is back at once is no news. */
const READ_OUT_MS = 1_000;
const SECOND_MS = 1_000;

/** `live` is read out and seen by nobody; without it every second of a countdown would be read out. */
const STYLE = `
  :host { display: inline-flex; align-items: center; gap: 0.4em; }
  :host([hidden]) { display: none; }
  [part='dot'] { width: 0.6em; height: 0.6em; border-radius: 50%; background: currentColor; opacity: 0.35; }
  :host([data-status='online']) [part='dot'] { background: #1a7f37; opacity: 1; }
  :host(:is([data-status='unauthorized'], [data-status='closed'])) [part='dot'] { background: #cf222e; opacity: 1; }
  [part='live'] { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
`;

interface Parts {
  label: HTMLElement;
  live: HTMLElement;
  retry: HTMLButtonElement;
}

let sheet: CSSStyleSheet | undefined;

/** One sheet for all elements: a strict policy refuses inline styles, and not this. */
function styles(): CSSStyleSheet {
  if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(STYLE);
  return sheet;
}

const part = <K extends 'span' | 'button'>(tag: K, name: string): HTMLElementTagNameMap[K] => {
  const element = document.createElement(tag);
  element.part.add(name);
  return element;
};

export class NotifierStatus extends Running {
  static readonly observedAttributes = ['label-retry', ...Object.keys(LABELS).map((name) => `label-${name}`)];

  #parts: Parts | undefined;

  protected run(): () => void {
    const { label, live, retry } = (this.#parts ??= this.#build());
    retry.textContent = this.getAttribute('label-retry') ?? 'Try again';
    let countdown: ReturnType<typeof setTimeout> | undefined;
    let reading: ReturnType<typeof setTimeout> | undefined;
    let shown: Status | undefined;
    // Nobody has to be told that all is well as long as nothing else was read out.
    let known: Status = 'online';

    const write = (info: StatusInfo): void => {
      clearTimeout(countdown);
      const text = this.getAttribute(`label-${info.status}`) ?? LABELS[info.status] ?? info.status;
      const left = (info.retryAt ?? 0) - Date.now();
      label.textContent = text.replace('{s}', String(Math.max(0, Math.ceil(left / SECOND_MS))));
      if (left > 0 && text.includes('{s}')) countdown = setTimeout(write, left % SECOND_MS || SECOND_MS, info);
    };
    const unwatch = status.subscribe((info) => {
      write(info);
      if (info.status === shown) return;
      shown = info.status;
      this.show('status', info.status);
      // Attempts to connect follow each other by themselves; these two wait for the user.
      retry.hidden = info.status !== 'closed' && info.status !== 'unauthorized';
      clearTimeout(reading);
      if (shown === known) return;
      reading = setTimeout(() => {
        known = info.status;
        live.textContent = label.textContent;
      }, READ_OUT_MS);
    });
    return () => {
      unwatch();
      clearTimeout(countdown);
      clearTimeout(reading);
    };
  }

  #build(): Parts {
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [styles()];
    const [dot, label, live, retry] = [part('span', 'dot'), part('span', 'label'), part('span', 'live'), part('button', 'retry')];
    live.setAttribute('role', 'status');
    live.setAttribute('aria-live', 'polite');
    dot.setAttribute('aria-hidden', 'true');
    retry.type = 'button';
    retry.addEventListener('click', () => configure({}));
    root.append(dot, label, live, retry);
    return { label, live, retry };
  }
}
