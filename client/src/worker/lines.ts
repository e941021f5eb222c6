// The connections of a worker to nodes: one for each address and each set of rights among its tabs.
import { failure } from '../error.js';
import { createKernel, type Kernel } from '../kernel.js';
import { LOST } from '../transport.js';
import type { Config, StatusInfo } from '../types.js';

/** Milliseconds that a connection outlasts its last tab: the time from one page of a site to the next one. */
const LINGER_MS = 2_000;

/** What a line asks of a tab. */
export interface LineOwner {
  online(status: StatusInfo): void;
  ended(code: number, reason: string, status: StatusInfo): void;
  /** A new token of the tab's application; nothing where it does not answer. */
  token(): Promise<string | undefined>;
}

/** Says whose token it is and what it grants: two that differ in times and ids alone are the same. */
function rightsOf(token: string | undefined): string {
  try {
    const payload = atob(token?.split('.')[1]?.replace(/-/g, '+').replace(/_/g, '/') ?? '');
    const { iat, exp, nbf, jti, ...claims } = JSON.parse(payload) as Record<string, unknown>;
    return JSON.stringify(claims);
  } catch {
    return token ?? '';
  }
}

/** One connection, and the tabs that share it. */
export class Line {
  readonly kernel: Kernel = createKernel(true);
  readonly #tabs = new Set<LineOwner>();
  readonly #ended: () => void;
  #token: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** A node has been reached. */
  #isReached = false;

  constructor(config: Config, token: string | undefined, ended: () => void) {
    this.#ended = ended;
    this.#token = token;
    this.kernel.configure({ ...config, ...(token !== undefined && { token: () => this.#bring() }) });
    this.kernel.status.subscribe((status) => this.#changed(status));
  }

  join(tab: LineOwner): void {
    clearTimeout(this.#timer);
    this.#tabs.add(tab);
    const status = this.kernel.status.getSnapshot();
    if (status.status === 'online' || status.status === 'degraded') tab.online(status);
  }

  leave(tab: LineOwner): void {
    if (this.#tabs.delete(tab) && !this.#tabs.size) this.#timer = setTimeout(() => this.#end(), LINGER_MS);
  }

  #changed(status: StatusInfo): void {
    if (status.status === 'online' || status.status === 'degraded') {
      this.#isReached = true;
      for (const tab of this.#tabs) tab.online(status);
    } else if (status.status === 'waiting' && status.code === LOST && !this.#isReached) {
      // WebSockets may be blocked: the kernel looks for another way, as long as tabs wait.
    } else if (status.status !== 'connecting' && status.status !== 'idle') {
      // Tabs come back by themselves, each from its own cursors: whoever does first dials again.
      const tabs = [...this.#tabs];
      this.#tabs.clear();
      this.#end();
      for (const tab of tabs) tab.ended(status.code ?? LOST, status.reason ?? '', status);
    }
  }

  /** The first token came with the first tab; for each one after it the newest tab is asked first. */
  async #bring(): Promise<string> {
    const first = this.#token;
    this.#token = undefined;
    if (first !== undefined) return first;
    for (const tab of [...this.#tabs].reverse()) {
      const token = await tab.token();
      if (token !== undefined) return token;
    }
    throw failure('timeout', 'no tab has brought a token', { retryable: true });
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#ended();
    this.kernel.close();
  }
}

export class Lines {
  readonly #lines = new Map<string, Line>();
  readonly #config: Config;

  constructor(config: Config = {}) {
    this.#config = config;
  }

  /** The line of a tab with this token. */
  for(url: string, token: string | undefined): Line {
    const key = `${url} ${rightsOf(token)}`;
    let line = this.#lines.get(key);
    if (!line) {
      const made: Line = (line = new Line({ ...this.#config, url }, token, () => {
        if (this.#lines.get(key) === made) this.#lines.delete(key);
      }));
      this.#lines.set(key, line);
    }
    return line;
  }
}
