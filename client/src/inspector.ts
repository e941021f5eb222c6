// `@notifier/client/inspector`: <notifier-inspector>, which shows a developer the page's connection and who has subscribed
// to what. It looks once per second and changes nothing; it belongs on no page of users.
import { Running } from './elements/base.js';
import { inspect } from './index.js';
import type { Inspection } from './types.js';

/** Milliseconds between two looks, over which rates are counted. */
const LOOK_MS = 1_000;
const COLUMNS = ['Owners', 'Subject', 'State', 'Delivery', 'Handlers', 'Events', 'Per second', 'Gaps', 'Last event'];

const STYLE = `
  :host { display: block; font: 13px/1.4 ui-monospace, monospace; color: CanvasText; background: Canvas; color-scheme: light dark; }
  :host([hidden]) { display: none; }
  dl, [part='table'] { margin: 0; padding: 0.5em; overflow-x: auto; }
  dl { display: flex; flex-wrap: wrap; gap: 0.2em 1.5em; }
  dl div { display: flex; gap: 0.5em; }
  dt { font-weight: bold; }
  dd { margin: 0; }
  caption { text-align: start; font-weight: bold; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: start; vertical-align: top; padding: 0.15em 0.6em 0.15em 0; border-bottom: 1px solid; }
  pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
`;

type Subscription = Inspection['subscriptions'][number];

let sheet: CSSStyleSheet | undefined;

const make = <K extends keyof HTMLElementTagNameMap>(name: K, text = '', ...children: Node[]): HTMLElementTagNameMap[K] => {
  const element = document.createElement(name);
  element.textContent = text;
  element.append(...children);
  return element;
};
/** Writes only what differs, so that what a developer has selected stays selected. */
const write = (element: HTMLElement, text: string): void => {
  if (element.textContent !== text) element.textContent = text;
};
const time = (milliseconds: number): string => new Date(milliseconds).toISOString().slice(11, 23);

/** One subscription, as a row of the table. */
class Row {
  readonly element = make('tr');
  readonly #cells = COLUMNS.slice(0, -1).map((_, index) => make(index === 1 ? 'th' : 'td'));
  readonly #summary = make('summary');
  readonly #whole = make('pre');
  #events = 0;

  constructor() {
    const details = make('details', '', this.#summary, this.#whole);
    this.#cells[1]?.setAttribute('scope', 'row');
    this.element.append(...this.#cells, make('td', '', details));
  }

  show({ subject, labels, state, delivery = '', handlers, events, gaps, gap, last }: Subscription, seconds: number): void {
    const rate = seconds ? (events - this.#events) / seconds : 0;
    this.#events = events;
    const lost = gap ? `${gaps} (${gap.reason}${gap.from ? ` ${gap.from}-${gap.to ?? ''}` : ''})` : `${gaps}`;
    const texts = [labels.join(', '), subject, state, delivery, `${handlers}`, `${events}`, rate.toFixed(1), lost];
    this.#cells.forEach((cell, index) => write(cell, texts[index] ?? ''));
    write(this.#summary, last ? `${time(last.time)} ${last.subject}${last.seq ? ` #${last.seq}` : ''}` : 'none');
    write(this.#whole, last ? JSON.stringify(last, undefined, 2) : '');
  }
}

export class NotifierInspector extends Running {
  readonly #facts = new Map<string, HTMLElement>();
  readonly #rows = new Map<string, Row>();
  #parts: { facts: HTMLElement; body: HTMLElement } | undefined;
  #looked = 0;

  protected run(): () => void {
    this.#parts ??= this.#build();
    this.#look();
    const timer = setInterval(() => this.#look(), LOOK_MS);
    return () => clearInterval(timer);
  }

  #look(): void {
    const { status, connection = '', version, copies, subscriptions, counters } = inspect();
    const { status: word, attempt, retryAt, code, reason, node = '', user = '' } = status;
    const now = Date.now();
    const seconds = this.#looked ? (now - this.#looked) / 1_000 : 0;
    this.#looked = now;
    this.#fact('Status', retryAt ? `${word} until ${time(retryAt)}` : word);
    this.#fact('Node', node);
    this.#fact('Connection', connection);
    this.#fact('User', user);
    this.#fact('Last end', code === undefined ? (reason ?? '') : `${code} ${reason ?? ''}`);
    this.#fact('Attempts', `${attempt}`);
    this.#fact('Version', `${version} of ${copies.join(', ') || 'none'}`);
    for (const [name, count] of Object.entries(counters)) this.#fact(name, `${count}`);
    const key = ({ labels, subject }: Subscription): string => `${labels.join()} ${subject}`;
    const sorted = [...subscriptions].sort((a, b) => key(a).localeCompare(key(b)));
    const subjects = new Set(sorted.map(({ subject }) => subject));
    for (const [subject, { element }] of this.#rows) {
      if (subjects.has(subject)) continue;
      element.remove();
      this.#rows.delete(subject);
    }
    sorted.forEach((subscription, index) => {
      const { subject } = subscription;
      const row = this.#rows.get(subject) ?? new Row();
      this.#rows.set(subject, row);
      row.show(subscription, seconds);
      const body = this.#parts?.body;
      if (body?.children[index] !== row.element) body?.insertBefore(row.element, body.children[index] ?? null);
    });
  }

  #fact(name: string, text: string): void {
    let element = this.#facts.get(name);
    if (!element) {
      this.#facts.set(name, (element = make('dd')));
      this.#parts?.facts.append(make('div', '', make('dt', name), element));
    }
    write(element, text);
  }

  #build(): { facts: HTMLElement; body: HTMLElement } {
    const root = this.attachShadow({ mode: 'open' });
    if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    const [facts, body, head] = [make('dl'), make('tbody'), make('tr')];
    for (const column of COLUMNS) head.append(Object.assign(make('th', column), { scope: 'col' }));
    const table = make('table', '', make('caption', 'Subscriptions'), make('thead', '', head), body);
    // It may be wider than its place: then the keyboard scrolls it.
    const frame = Object.assign(make('div', '', table), { tabIndex: 0, role: 'region', ariaLabel: 'Subscriptions of the page' });
    frame.part.add('table');
    facts.part.add('facts');
    root.append(facts, frame);
    return { facts, body };
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'notifier-inspector': NotifierInspector;
  }
}

/** Names the element, unless it has a name; on a server nothing happens. */
export function define(): void {
  const { customElements } = globalThis;
  if (customElements && !customElements.get('notifier-inspector')) customElements.define('notifier-inspector', NotifierInspector);
}
