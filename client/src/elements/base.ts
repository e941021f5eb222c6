// What the elements have in common: attributes that begin them anew, and a state that styles can name.

/** On a server there are no elements, and an import must not fail there; `define()` does nothing then. */
export const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;

/** An element that runs while it is in a document, and begins anew when one of its attributes changes. */
export abstract class Running extends Base {
  /** Not every browser has them, and tests of components run in what has none. */
  protected readonly internals: ElementInternals | undefined = this.attachInternals?.();
  #stop: (() => void) | undefined;

  /** Begins; returns what ends it. */
  protected abstract run(): () => void;

  connectedCallback(): void {
    this.#stop ??= this.run();
  }

  disconnectedCallback(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  /** With this, `moveBefore` moves it without an end and a beginning. */
  connectedMoveCallback(): void {}

  attributeChangedCallback(_name: string, before: string | null, after: string | null): void {
    if (before === after || !this.#stop) return;
    this.disconnectedCallback();
    this.connectedCallback();
  }

  /** Shows a state to styles: `:state(online)`, and `[data-NAME=online]` where a browser does not know that. */
  protected show(name: string, state: string): void {
    this.dataset[name] = state;
    this.internals?.states?.clear();
    this.internals?.states?.add(state);
  }
}
