import type { DataOf, LiveOptions, LiveState, NotifierError, StatusInfo, Store } from './types.js';
/** As much of a host as is used: Lit's `ReactiveElement` is one. */
export interface ControllerHost {
    addController(controller: {
        hostConnected?(): void;
        hostDisconnected?(): void;
    }): void;
    requestUpdate(): void;
}
/** Has the host update with a store, while it is in a document. */
declare class StoreController<T> {
    #private;
    protected readonly host: ControllerHost;
    protected store: Store<T>;
    constructor(host: ControllerHost, store: Store<T>);
    hostConnected(): void;
    hostDisconnected(): void;
    /** Goes over to another store. */
    protected follow(store: Store<T>): void;
}
/** The newest value of a subject and its state. */
export declare class LiveController<S extends string, T = DataOf<S>, E = DataOf<S>> extends StoreController<LiveState<T>> {
    #private;
    constructor(host: ControllerHost, subject: S, options?: LiveOptions<T, E>);
    get subject(): S;
    /** Another subject begins anew, without a value. */
    set subject(subject: S);
    get value(): T | undefined;
    get state(): LiveState<T>['state'];
    get error(): NotifierError | undefined;
}
/** The status of the page's connection. */
export declare class StatusController extends StoreController<StatusInfo> {
    constructor(host: ControllerHost);
    get value(): StatusInfo;
}
export {};
