// The verbs of the library, over any kernel: the page's shared one, or one of its own.
import type { UseKernel } from './handle.js';
import { createKernel, type Kernel } from './kernel.js';
import { liveMaker, type MakeLive } from './live.js';
import { subscriber, type Subscribe } from './subscribe.js';
import type {
  Config,
  DataOf,
  Fetched,
  FetchOptions,
  Inspection,
  Published,
  PublishOptions,
  RequestOptions,
  StatusInfo,
  Store,
} from './types.js';
import { VERSION } from './version.js';

export interface Client {
  /** Says where and as whom to connect. Called once, by whoever owns the page; subscriptions may come before it. */
  configure(config: Config): void;
  subscribe: Subscribe;
  live: MakeLive;
  /** Publishes an event, and tries again under the same id when the connection is lost meanwhile. */
  publish(subject: string, data: unknown, options?: PublishOptions): Promise<Published>;
  /** Asks a service and waits for the data of its answer. */
  request<T = unknown>(subject: string, data: unknown, options?: RequestOptions): Promise<T>;
  /** Reads stored events without subscribing. */
  fetch<S extends string, T = DataOf<S>>(subject: S, options?: FetchOptions): Promise<Fetched<T>>;
  /** The state of the connection. */
  status: Store<StatusInfo>;
  /** How far a subscription has come, or all of them: a text to go on from, on any node and after a reload. */
  cursor(subject?: string): string | undefined;
  /** What a developer wants to see, as plain data. */
  inspect(): Inspection;
}

/** `now` gives the kernel if there is one; `use` waits for it. */
export function clientOver(use: UseKernel, now: () => Kernel | undefined, copies: () => string[]): Client {
  const ask = <T>(run: (kernel: Kernel) => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => use((kernel) => run(kernel).then(resolve, reject)));
  const idle: StatusInfo = { status: 'idle', attempt: 0 };
  return {
    configure: (config) => use((kernel) => kernel.configure(config)),
    subscribe: subscriber(use),
    live: liveMaker(use),
    publish: (subject, data, options = {}) => ask((kernel) => kernel.publish(subject, data, options)),
    request: <T>(subject: string, data: unknown, options = {}) =>
      ask((kernel) => kernel.request(subject, data, options)) as Promise<T>,
    fetch: <S extends string, T>(subject: S, options: FetchOptions = {}) =>
      ask((kernel) => kernel.fetch(subject, options)) as Promise<Fetched<T>>,
    status: {
      getSnapshot: () => now()?.status.getSnapshot() ?? idle,
      subscribe(run) {
        let stop: (() => void) | undefined;
        let ended = false;
        use((kernel) => {
          if (!ended) stop = kernel.status.subscribe(run);
        });
        if (!stop) run(idle);
        return () => {
          ended = true;
          stop?.();
        };
      },
    },
    cursor: (subject) => now()?.cursor(subject),
    inspect: () => ({
      version: VERSION,
      status: idle,
      subscriptions: [],
      counters: { dials: 0, events: 0, duplicates: 0, gaps: 0 },
      ...now()?.inspect(),
      copies: copies(),
    }),
  };
}

/** A client of its own, which shares nothing with the page: for servers, workers and tests. */
export function createClient(config: Config): Client & { close(): void } {
  const kernel = createKernel();
  kernel.configure(config);
  return { ...clientOver((run) => run(kernel), () => kernel, () => [VERSION]), close: kernel.close };
}
