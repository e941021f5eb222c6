// Keeps one connection: a single way to dial for the first connect, a reconnect, a wake-up and a node that leaves. Knows
// when to come back and when not; knows nothing of subscriptions.
import { Backoff } from './backoff.js';
import { reconnects } from './codes.js';
import { Connection, type ConnectionOwner } from './connection.js';
import { report } from './error.js';
import type { ServerFrame } from './frames.js';
import { isOffline, type PageOwner, watchPage } from './page.js';
import { Value } from './store.js';
import { Tokens } from './token.js';
import { LOST, webSocket } from './transport.js';
import type { Config, Status, StatusInfo, TokenReason } from './types.js';
import { urlOf } from './url.js';
import { VERSION } from './version.js';
import { deadline } from './watchdog.js';

/** Attempts are at least this many milliseconds apart, though what wakes a page may come in bursts, and though something
 * else is dialled where WebSockets have failed of late. */
const APART_MS = 1_000;
/** When a network comes back, all its pages hear of it at once: they spread over so many milliseconds. */
const CROWD_MS = 250;
/** Until the application is asked again for a token that it failed to bring for a refresh. */
const REFRESH_AGAIN_MS = 5_000;
/** Milliseconds for a WebSocket to be welcome, until something else is dialled beside it. */
const RACE_MS = 3_000;
/** WebSockets in a row that ended without a word of the node, until something else is dialled at once. */
const VAIN_DIALS = 2;
/** How often a page that goes another way tries a WebSocket, milliseconds. */
const BACK_MS = 30_000;
/** The first time on a connection it does so sooner: it may have been an outage. Each wait is up to twice as long. */
const SOON_MS = 5_000;
/** Close codes after which only another token can help. */
const TOKEN_REFUSED = [4501, 4502];
/** Codes below are not of the node, and say nothing before its first word. */
const NODE_CODES = 4000;

export interface EngineOwner extends Omit<ConnectionOwner, 'lost'> {
  welcomed(connection: Connection): void;
  lost(connection: Connection): void;
  /** Whether `next` carries everything, so that nothing needs `old` any more. */
  settled(next: Connection, old: Connection): boolean;
  /** Whether anybody wants a connection. */
  wanted(): boolean;
}

export class Engine implements ConnectionOwner, PageOwner {
  readonly status = new Value<StatusInfo>({ status: 'idle', attempt: 0 });
  dials = 0;
  /** The connection that carries the page. */
  current: Connection | undefined;

  readonly #owner: EngineOwner;
  readonly #tokens = new Tokens();
  readonly #backoff = new Backoff();
  #config: Config = {};
  /** A dial, while its token is awaited and until it is welcome. `round` numbers dials: an older one is old news. */
  #dialling: Connection | 'token' | undefined;
  /** What is dialled beside a WebSocket that is not welcome in time: whichever is welcome carries the page. */
  #rival: Connection | undefined;
  #cancelRace: (() => void) | undefined;
  #leaving: Connection | undefined;
  /** The last connection's name: a node that has not noticed its end counts it until it is replaced. */
  #earlier: string | undefined;
  #round = 0;
  /** WebSockets in a row that ended without a word. */
  #vain = 0;
  #token: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #retryAt = 0;
  #dialledAt = 0;
  /** What the node asked for with its last refusal holds for a wake-up too. */
  #notBefore = 0;
  #refused = false;
  /** `ended` is final, the others pass: with a new configuration, or when the page is shown again. */
  #halted: 'stopped' | 'asleep' | 'ended' | undefined;
  #unwatch: (() => void) | undefined;

  constructor(owner: EngineOwner) {
    this.#owner = owner;
  }

  /** Changes where and as whom to connect, and begins anew where that makes a difference. */
  configure(config: Config): void {
    const before = this.#config;
    if (before.token && config.token && before.token !== config.token) {
      console.warn('notifier: a second `token` is ignored');
      config = { ...config, token: before.token };
    }
    this.#config = { ...before, ...config };
    const same = (['url', 'token', 'tabs', 'worker', 'WebSocket'] as const).every((key) => before[key] === this.#config[key]);
    if (same && this.#halted !== 'stopped') return;
    if (this.#halted === 'stopped') this.#halted = undefined;
    this.#refused = false;
    this.#vain = 0;
    this.#drop();
    if (!this.#halted) this.#show('idle');
    this.start();
  }

  /** Connects if somebody wants it and nothing is under way. */
  start(): void {
    if (this.#timer === undefined && this.#isMissing) void this.#dial('connect');
  }

  /** Whether a connection is wanted, may be made, and is not under way. */
  get #isMissing(): boolean {
    return !this.current && !this.#dialling && !this.#halted && this.#owner.wanted();
  }

  /** Ends for good. */
  close(): void {
    this.#stop('closed');
    this.#halted = 'ended';
    this.#drop();
    this.#show('closed');
  }

  woke(crowd: boolean): void {
    if (this.#halted === 'asleep') this.#halted = undefined;
    this.current?.probe();
    // Another network may let a WebSocket through.
    if (crowd && this.#isFallback) this.#schedule('connect', CROWD_MS * (1 + Math.random()));
    if (!this.#isMissing) return;
    const spread = crowd ? Math.random() * CROWD_MS : 0;
    this.#schedule('connect', Math.max(this.#notBefore, this.#dialledAt + APART_MS, Date.now()) - Date.now() + spread);
  }

  doubted(): void {
    this.current?.probe();
  }

  slept(): void {
    if (this.#halted) return;
    this.#halted = 'asleep';
    this.#drop();
    this.#show('suspended');
  }

  opened(connection: Connection): void {
    const { client = { name: 'notifier-client', version: VERSION } } = this.#config;
    // While it moves, it still needs the earlier one.
    const replaces = this.current ? undefined : this.#earlier;
    connection.send({ connect: { token: this.#token || undefined, client, replaces } });
    this.#owner.opened(connection);
  }

  frame(connection: Connection, frame: ServerFrame): void {
    const { welcome, goaway, ping, tokenExpiring } = frame;
    if (welcome) this.#welcomed(connection);
    if (tokenExpiring) void this.#refresh(connection);
    if (goaway && connection === this.current) {
      connection.leaves = true;
      this.#schedule('connect', goaway.reconnectAfterMs ?? 0);
    }
    if (ping && connection === this.current) {
      // All tabs of a worker may have moved.
      this.#show(ping.broker === 'down' ? 'degraded' : 'online', { transport: ping.transport });
    }
    this.#owner.frame(connection, frame);
    const { current } = this;
    if (current && this.#leaving && this.#owner.settled(current, this.#leaving)) this.#leave();
  }

  lost(connection: Connection, code: number, reason: string): void {
    // A proxy closes as it likes.
    if (!connection.welcome && code < NODE_CODES) code = LOST;
    if (connection === this.#rival) {
      this.#rival = undefined;
      if (code === LOST) {
        // Another one, while the WebSocket hangs.
        if (this.#dialling) this.#race();
        return this.#owner.lost(connection);
      }
      // What the node says by one way counts for the other one, which has not come through.
      this.#giveUp();
    }
    if (connection === this.#dialling) {
      this.#dialling = undefined;
      // What the node says shows that it was reached, and without a network nothing comes through.
      this.#vain = code !== LOST || isOffline() ? 0 : this.#vain + 1;
      if (this.#vain >= VAIN_DIALS) this.#race(0);
    }
    if (connection === this.current) {
      this.current = undefined;
      this.#backoff.lost();
      // Attempts to move elsewhere had time while it stood; now there is none to lose.
      this.#unschedule();
      if (this.#dialling) this.#race();
    }
    let status: Status | undefined;
    if (connection === this.#leaving) this.#leaving = undefined;
    // The next attempt stands before any of the application's code runs, which may throw, or configure anew: that begins
    // a round of its own, and this one has nothing more to show.
    else status = this.#afterLoss(connection, code);
    const round = this.#round;
    this.#owner.lost(connection);
    if (status && round === this.#round && !this.current) this.#show(status, { code, reason });
  }

  /** Decides what follows the end of a connection. */
  #afterLoss(connection: Connection, code: number): Status | undefined {
    if (this.#halted) return undefined;
    if (this.#dialling) return 'connecting';
    if (this.#isFallback) {
      // One that began before has its next attempt.
      if (this.#timer === undefined) this.#schedule('connect', BACK_MS * (1 + Math.random()));
      return undefined;
    }
    const unauthorized = TOKEN_REFUSED.includes(code);
    const again = unauthorized && !!this.#config.token && !this.#refused;
    if (unauthorized) this.#refused = true;
    // A second connection that is turned away says nothing of the first.
    if (reconnects(code) || again || this.current) {
      const hint = Math.max(connection.hint, this.#notBefore - Date.now());
      return this.#retry(again ? 'rejected' : 'connect', hint);
    }
    return this.#stop(unauthorized ? 'unauthorized' : 'closed');
  }

  async #dial(why: TokenReason): Promise<void> {
    const round = ++this.#round;
    this.#dialling = 'token';
    this.#dialledAt = Date.now();
    // One behind what carries the page says nothing of how often it may be dialled.
    if (!this.#isFallback) this.#backoff.dialled();
    this.#unwatch ??= watchPage(this);
    if (!this.current) this.#show('connecting');
    try {
      // What the page configures in the same task counts.
      await null;
      const url = urlOf(this.#config);
      const { tabs, worker, WebSocket: Constructor = globalThis.WebSocket } = this.#config;
      if (round !== this.#round) return;
      if (!url || !Constructor) {
        // A page that is rendered on a server: there is nowhere to connect to.
        this.#dialling = undefined;
        this.#show('idle');
        return;
      }
      const alone = webSocket(Constructor);
      // Past all other tabs, or with them.
      const dial = tabs === 'shared' ? await import('./tabs.js').then((all) => all.sharedTabs(alone, worker), () => alone) : alone;
      const token = await this.#tokens.get(this.#config.token, why);
      if (round !== this.#round) return;
      this.#token = token;
      this.dials++;
      this.#dialling = new Connection(dial, url, round, this);
      this.#race();
    } catch (error) {
      if (round !== this.#round) return;
      this.#dialling = undefined;
      const status = this.#retry('connect', 0);
      if (!this.current) this.#show(status, { reason: error instanceof Error ? error.message : String(error) });
    }
  }

  /** From now on a WebSocket has so much time. A constructor that was handed over is the way that the application wants. */
  #race(wait = this.#vain >= VAIN_DIALS ? APART_MS : RACE_MS): void {
    this.#cancelRace?.();
    if (!this.#config.WebSocket) this.#cancelRace = deadline(wait, () => void this.#compete());
  }

  /** Dials something else. It is the lesser one while both bring live events. */
  async #compete(): Promise<void> {
    const config = this.#config;
    const fallback = await import('./fallback.js').catch(() => undefined);
    const isCarried = this.current && !this.current.leaves;
    if (!fallback || isCarried || this.#rival || this.#halted || config !== this.#config) return;
    this.dials++;
    this.#rival = new Connection(fallback.overHttp, urlOf(config) as string, this.#round - 0.5, this);
  }

  #welcomed(connection: Connection): void {
    this.#backoff.welcomed();
    this.#refused = false;
    if (connection === this.#rival) {
      // The WebSocket goes on, and wins as soon as it is welcome.
      this.#rival = undefined;
    } else {
      this.#dialling = undefined;
      this.#vain = 0;
      this.#giveUp();
    }
    this.#follow(connection);
    this.#earlier = connection.welcome?.connection;
    if (this.#isFallback) this.#schedule('connect', SOON_MS * (1 + Math.random()));
    this.#show('online');
    this.#owner.welcomed(connection);
  }

  /** Whether the page is carried by something else than a WebSocket. */
  get #isFallback(): boolean {
    // Those that are dialled beside a WebSocket have half a number.
    return !!((this.current?.generation as number) % 1);
  }

  /** Lets a connection follow the one that carries the page. */
  #follow(connection?: Connection): void {
    this.#leave();
    this.#leaving = this.current;
    this.current = connection;
  }

  #leave(): void {
    const connection = this.#leaving;
    this.#leaving = undefined;
    this.#discard(connection);
  }

  /** Ends all dials under way. */
  #giveUp(): void {
    this.#cancelRace?.();
    const dials = [this.#dialling, this.#rival];
    this.#dialling = this.#rival = undefined;
    this.#round++;
    for (const dial of dials) this.#discard(dial);
  }

  #discard(connection: Connection | 'token' | undefined): void {
    if (!(connection instanceof Connection)) return;
    connection.close();
    this.#owner.lost(connection);
  }

  #retry(why: TokenReason, hint: number): Status {
    if (!this.#owner.wanted()) return 'idle';
    this.#notBefore = Date.now() + hint;
    this.#schedule(why, this.#backoff.next(hint));
    return isOffline() ? 'offline' : 'waiting';
  }

  #schedule(why: TokenReason, wait: number): void {
    this.#unschedule();
    this.#retryAt = Date.now() + wait;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#dialling) void this.#dial(why);
    }, wait);
  }

  #unschedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** A refresh belongs to one connection: a token that comes after its end is not sent on another one. */
  async #refresh(connection: Connection): Promise<void> {
    try {
      const token = await this.#tokens.get(this.#config.token, 'expiring');
      if (token) connection.send({ refresh: { token } });
    } catch (error) {
      report(error);
      setTimeout(() => connection.open && void this.#refresh(connection), REFRESH_AGAIN_MS);
    }
  }

  #stop<S extends 'closed' | 'unauthorized'>(status: S): S {
    this.#halted = 'stopped';
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#giveUp();
    return status;
  }

  #drop(): void {
    this.#unschedule();
    this.#giveUp();
    this.#follow();
    this.#leave();
  }

  #show(status: Status, info: { [K in keyof StatusInfo]?: StatusInfo[K] | undefined } = {}): void {
    const { node, user, transport } = this.current?.welcome ?? {};
    const retryAt = status === 'waiting' || status === 'offline' ? this.#retryAt : undefined;
    const { attempt } = this.#backoff;
    // As JSON what is undefined is absent.
    const next = JSON.stringify({ status, attempt, retryAt, node, user, transport, ...info });
    if (next !== JSON.stringify(this.status.getSnapshot())) this.status.set(JSON.parse(next) as StatusInfo);
  }
}
