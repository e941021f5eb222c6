import type { Config, TokenReason } from './types.js';
export declare class Tokens {
    #private;
    /** The token; `undefined` where the application has none to give. All who ask meanwhile get the same answer. */
    get(ask: Config['token'], reason: TokenReason): Promise<string | undefined>;
}
