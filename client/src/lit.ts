// Reactive controllers, for Lit and for whatever else hosts them: values of subjects and the status of the connection.
import { live, status } from './index.js';
import type { DataOf, LiveOptions, LiveState, NotifierError, StatusInfo, Store } from './types.js';

/** As much of a host as is used: Lit's `ReactiveElement` is one. */
export interface ControllerHost {
  addController(controller: { hostConnected?(): void; hostDisconnected?(): void }): void;
  requestUpdate(): void;
}

/** Has the host update with a store, while it is in a document. */
class StoreController<T> {
  #stop: (() => void) | undefined;

  constructor(
    protected readonly host: ControllerHost,
    protected store: Store<T>,
  ) {
    host.addController(this);
  }

  hostConnected(): void {
    this.#stop ??= this.store.subscribe(() => this.host.requestUpdate());
  }

  hostDisconnected(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  /** Goes over to another store. */
  protected follow(store: Store<T>): void {
    const isConnected = !!this.#stop;
    this.hostDisconnected();
    this.store = store;
    if (isConnected) this.hostConnected();
  }
}

/** The newest value of a subject and its state. */
export class LiveController<S extends string, T = DataOf<S>, E = DataOf<S>> extends StoreController<LiveState<T>> {
  #subject: S;
  readonly #options: LiveOptions<T, E>;

  constructor(host: ControllerHost, subject: S, options: LiveOptions<T, E> = {}) {
    super(host, live<S, T, E>(subject, options));
    this.#subject = subject;
    this.#options = options;
  }

  get subject(): S {
    return this.#subject;
  }

  /** Another subject begins anew, without a value. */
  set subject(subject: S) {
    if (subject === this.#subject) return;
    this.#subject = subject;
    this.follow(live<S, T, E>(subject, this.#options));
  }

  get value(): T | undefined {
    return this.store.getSnapshot().value;
  }

  get state(): LiveState<T>['state'] {
    return this.store.getSnapshot().state;
  }

  get error(): NotifierError | undefined {
    return this.store.getSnapshot().error;
  }
}

/** The status of the page's connection. */
export class StatusController extends StoreController<StatusInfo> {
  constructor(host: ControllerHost) {
    super(host, status);
  }

  get value(): StatusInfo {
    return this.store.getSnapshot();
  }
}
