/** Resolves when `condition` gives something other than `undefined`, `null` or `false`; throws what it last threw. */
export declare function until<T>(condition: () => T | Promise<T>, what: string, within?: number): Promise<NonNullable<T>>;
export declare const pause: (ms: number) => Promise<void>;
/** Numbers that look random and are the same for each seed (mulberry32). */
export declare function random(seed: number): () => number;
