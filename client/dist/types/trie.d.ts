export declare class Trie<V> {
    #private;
    set(pattern: string, value: V): void;
    /** Forgets the pattern and the branches that only it needed. */
    delete(pattern: string): void;
    /** The values of all patterns that match; the list is never changed afterwards. */
    match(subject: string): readonly V[];
}
