// The page's access token: asked from the application, once at a time, whoever needs it.
import { late } from './error.js';
import type { Config, TokenReason } from './types.js';

/** Milliseconds for the application to bring a token; after that the attempt counts as failed and is made again. */
const TOKEN_MS = 30_000;

export class Tokens {
  #flight: Promise<string | undefined> | undefined;

  /** The token; `undefined` where the application has none to give. All who ask meanwhile get the same answer. */
  get(ask: Config['token'], reason: TokenReason): Promise<string | undefined> {
    this.#flight ??= this.#ask(ask, reason).finally(() => (this.#flight = undefined));
    return this.#flight;
  }

  async #ask(ask: Config['token'], reason: TokenReason): Promise<string | undefined> {
    if (!ask) return undefined;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const never = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        abort.abort();
        reject(late('token of the application', TOKEN_MS));
      }, TOKEN_MS);
    });
    try {
      const token = await Promise.race([ask({ reason, signal: abort.signal }), never]);
      return token ?? undefined;
    } finally {
      clearTimeout(timer);
    }
  }
}
