// Which patterns match a subject: a trie of tokens, free of what the patterns stand for.

/** Subjects whose matches are remembered; a page sees the same few again and again. */
const REMEMBERED = 1_000;

class Branch<V> {
  value: V | undefined;
  readonly next = new Map<string, Branch<V>>();
}

export class Trie<V> {
  readonly #root = new Branch<V>();
  readonly #matches = new Map<string, readonly V[]>();

  set(pattern: string, value: V): void {
    let at = this.#root;
    for (const token of pattern.split('.')) {
      let next = at.next.get(token);
      if (!next) at.next.set(token, (next = new Branch()));
      at = next;
    }
    at.value = value;
    this.#matches.clear();
  }

  /** Forgets the pattern and the branches that only it needed. */
  delete(pattern: string): void {
    const path = [this.#root];
    const tokens = pattern.split('.');
    for (const token of tokens) {
      const next = path.at(-1)?.next.get(token);
      if (!next) return;
      path.push(next);
    }
    for (let depth = tokens.length; depth > 0; depth--) {
      const branch = path[depth];
      if (depth === tokens.length && branch) branch.value = undefined;
      if (!branch || branch.value !== undefined || branch.next.size) break;
      path[depth - 1]?.next.delete(tokens[depth - 1] ?? '');
    }
    this.#matches.clear();
  }

  /** The values of all patterns that match; the list is never changed afterwards. */
  match(subject: string): readonly V[] {
    let found = this.#matches.get(subject);
    if (!found) {
      found = this.#walk(subject.split('.'));
      if (this.#matches.size >= REMEMBERED) this.#matches.clear();
      this.#matches.set(subject, found);
    }
    return found;
  }

  #walk(tokens: readonly string[]): V[] {
    const found: V[] = [];
    let level = [this.#root];
    const take = (branch: Branch<V> | undefined): void => {
      if (branch?.value !== undefined) found.push(branch.value);
    };
    for (const token of tokens) {
      const below: Branch<V>[] = [];
      for (const branch of level) {
        take(branch.next.get('>'));
        for (const key of [token, '*']) {
          const next = branch.next.get(key);
          if (next) below.push(next);
        }
      }
      level = below;
    }
    level.forEach(take);
    return found;
  }
}
