import type { KvPageId } from '@megascale/core';

/** A full page: its tokens stand after those of all pages above it. The root has no page. */
export interface PrefixNode {
  readonly page: KvPageId | undefined;
  readonly parent: PrefixNode | undefined;
  /** Of its tokens. */
  readonly hash: number;
  /** [kvPageSize] */
  readonly tokens: Int32Array;
  readonly children: Map<number, PrefixNode>;
}

/**
 * Which full pages hold which tokens, from position 0 on: what a sequence that begins with the same tokens need not compute. Keys and
 * values of a position depend on nothing but the tokens up to it (law 1), so a page is as good as one's own. Tokens are compared, not only their hashes.
 */
export class PrefixTree {
  readonly root: PrefixNode;
  readonly #kvPageSize: number;
  readonly #byPage = new Map<KvPageId, PrefixNode>();

  constructor(kvPageSize: number) {
    this.#kvPageSize = kvPageSize;
    this.root = node(undefined, undefined, 0, new Int32Array(0));
  }

  /** Pages in the tree. */
  get size(): number {
    return this.#byPage.size;
  }

  /** The page after `parent` that holds these tokens, from `firstPosition` on. */
  child(
    parent: PrefixNode,
    tokens: readonly number[],
    firstPosition: number,
  ): PrefixNode | undefined {
    const found = parent.children.get(this.hash(tokens, firstPosition));
    return found !== undefined && holds(found, tokens, firstPosition) ? found : undefined;
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

  /** Undefined where other tokens with the same hash stand already: they cannot both be there. */
  add(
    parent: PrefixNode,
    tokens: readonly number[],
    firstPosition: number,
    page: KvPageId,
  ): PrefixNode | undefined {
    const hash = this.hash(tokens, firstPosition);
    if (parent.children.has(hash)) return undefined;
    const own = Int32Array.from(tokens.slice(firstPosition, firstPosition + this.#kvPageSize));
    const added = node(page, parent, hash, own);
    parent.children.set(hash, added);
    this.#byPage.set(page, added);
    return added;
  }

  /** The page was taken for something else. Nothing stands below it: whoever holds a page holds those above it too. */
  remove(page: KvPageId): void {
    const removed = this.#byPage.get(page);
    if (removed === undefined) return;
    if (removed.children.size > 0)
      throw new Error(`KV page ${page} is lost before those below it.`);
    removed.parent?.children.delete(removed.hash);
    this.#byPage.delete(page);
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

function node(
  page: KvPageId | undefined,
  parent: PrefixNode | undefined,
  hash: number,
  tokens: Int32Array,
): PrefixNode {
  return { page, parent, hash, tokens, children: new Map() };
}

function holds(
  { tokens: own }: PrefixNode,
  tokens: readonly number[],
  firstPosition: number,
): boolean {
  for (let place = 0; place < own.length; place += 1) {
    if (own[place] !== tokens[firstPosition + place]) return false;
  }
  return true;
}
