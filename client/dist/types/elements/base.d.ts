/** On a server there are no elements, and an import must not fail there; `define()` does nothing then. */
export declare const Base: typeof HTMLElement;
/** An element that runs while it is in a document, and begins anew when one of its attributes changes. */
export declare abstract class Running extends Base {
    #private;
    /** Not every browser has them, and tests of components run in what has none. */
    protected readonly internals: ElementInternals | undefined;
    /** Begins; returns what ends it. */
    protected abstract run(): () => void;
    connectedCallback(): void;
    disconnectedCallback(): void;
    /** With this, `moveBefore` moves it without an end and a beginning. */
    connectedMoveCallback(): void;
    attributeChangedCallback(_name: string, before: string | null, after: string | null): void;
    /** Shows a state to styles: `:state(online)`, and `[data-NAME=online]` where a browser does not know that. */
    protected show(name: string, state: string): void;
}
