import type { KvPageId } from '@megascale/core';

/** A full page: its tokens stand after those of all pages above it. The root has no page. */
export interface PrefixNode {
  readonly page: KvPageId | undefined;
  readonly parent: PrefixNode | undefined;
  /** Of its tokens and the page above. */
  readonly hash: number;
  /** [kvPageSize] */
  readonly tokens: Int32Array;
  childCount: number;
}

/**
 * Which full pages hold which tokens, from position 0 on: what a sequence that begins with the same
 * tokens need not compute. Keys and values of a position depend on nothing but the tokens up to it
 * (law 1), so a page is as good as one's own. Tokens are compared, not only their hashes.
 */
export class PrefixTree {
  readonly root: PrefixNode = {
    page: undefined,
    parent: undefined,
    hash: 0,
    tokens: new Int32Array(0),
    childCount: 0,
  };
  readonly #kvPageSize: number;
  /** One map for the nodes of all parents, since nearly every node would have one of its own. */
  readonly #byHash = new Map<number, PrefixNode>();
  readonly #byPage: (PrefixNode | undefined)[] = [];

  constructor(kvPageSize: number) {
    this.#kvPageSize = kvPageSize;
  }

  /** Pages in the tree. */
  get size(): number {
    return this.#byHash.size;
  }

  /** The page after `parent` that holds these tokens, from `firstPosition` on. */
  child(
    parent: PrefixNode,
    tokens: readonly number[],
    firstPosition: number,
  ): PrefixNode | undefined {
    const found = this.#byHash.get(hashAfter(parent, this.hash(tokens, firstPosition)));
    return holds(found, parent, tokens, firstPosition) ? found : undefined;
  }

  /** The longest chain of pages that holds the first tokens, at most `tokensMax` of them. */
  match(tokens: readonly number[], tokensMax: number): PrefixNode[] {
    const chain: PrefixNode[] = [];
    let last: PrefixNode | undefined = this.root;
    for (let end = this.#kvPageSize; end <= tokensMax; end += this.#kvPageSize) {
      last = this.child(last, tokens, end - this.#kvPageSize);
      if (last === undefined) break;
      chain.push(last);
    }
    return chain;
  }

  /**
   * The page after `parent` that holds these tokens: from now on `page`, if there is none yet.
   * Undefined where other tokens with the same hash stand already: they cannot both be there.
   */
  childOrAdded(
    parent: PrefixNode,
    tokens: readonly number[],
    firstPosition: number,
    page: KvPageId,
  ): PrefixNode | undefined {
    const hash = hashAfter(parent, this.hash(tokens, firstPosition));
    const found = this.#byHash.get(hash);
    if (found !== undefined) {
      return holds(found, parent, tokens, firstPosition) ? found : undefined;
    }
    const own = new Int32Array(this.#kvPageSize);
    for (let place = 0; place < own.length; place += 1) {
      own[place] = tokens[firstPosition + place] ?? 0;
    }
    const added: PrefixNode = { page, parent, hash, tokens: own, childCount: 0 };
    parent.childCount += 1;
    this.#byHash.set(hash, added);
    while (this.#byPage.length <= page) this.#byPage.push(undefined);
    this.#byPage[page] = added;
    return added;
  }

  /**
   * The page was allocated for other tokens. Nothing stands below it: a sequence that holds it
   * holds those above it too.
   */
  remove(page: KvPageId): void {
    const removed = this.#byPage[page];
    if (removed === undefined) return;
    if (removed.childCount > 0) throw new Error(`KV page ${page} is lost before those below it.`);
    if (removed.parent !== undefined) removed.parent.childCount -= 1;
    this.#byHash.delete(removed.hash);
    this.#byPage[page] = undefined;
  }

  /** Of the page of tokens from `firstPosition` on (FNV-1a). */
  hash(tokens: readonly number[], firstPosition: number): number {
    let hash = 0x811c9dc5;
    for (let place = 0; place < this.#kvPageSize; place += 1) {
      hash = Math.imul(hash ^ (tokens[firstPosition + place] ?? 0), 0x01000193);
    }
    return hash;
  }
}

function hashAfter({ page }: PrefixNode, hash: number): number {
  return Math.imul(hash ^ ((page ?? -1) + 1), 0x01000193);
}

/** Whether it stands after this parent and has these tokens. */
function holds(
  node: PrefixNode | undefined,
  parent: PrefixNode,
  tokens: readonly number[],
  firstPosition: number,
): boolean {
  if (node?.parent !== parent) return false;
  const { tokens: own } = node;
  for (let place = 0; place < own.length; place += 1) {
    if (own[place] !== tokens[firstPosition + place]) return false;
  }
  return true;
}
