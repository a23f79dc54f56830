import type { KvPageId } from '@megascale/core';
import type { RunningSequence } from '../sequence/running-sequence.js';
import type { FoundPrefix } from '../sequence/sequence-views.js';
import type { TokenHistory } from '../sequence/token-history.js';
import { PagePool } from './page-pool.js';
import { PrefixTree, type PrefixNode } from './prefix-tree.js';

/** What a sequence would find computed if it started now. */
export interface CachedPrefix extends FoundPrefix {
  readonly nodes: readonly PrefixNode[];
}

const nothingCached: CachedPrefix = { nodes: [], tokens: 0, heldPages: 0 };

/**
 * The KV pages of one attention worker's sequences: which sequence holds which page, and which full
 * pages are published, so that sequences that begin with the same tokens share them. Published
 * pages that no sequence holds count as free.
 */
export class KvCache {
  /** Whether sequences may share pages at all. */
  readonly sharing: boolean;
  readonly #pool: PagePool;
  readonly #tree: PrefixTree;
  readonly #kvPageSize: number;

  constructor(options: {
    readonly kvPageCount: number;
    readonly kvPageSize: number;
    readonly prefixSharing: boolean;
  }) {
    this.#kvPageSize = options.kvPageSize;
    this.sharing = options.prefixSharing;
    this.#tree = new PrefixTree(options.kvPageSize);
    this.#pool = new PagePool(options.kvPageCount, (page) => {
      this.#tree.remove(page);
    });
  }

  get totalCount(): number {
    return this.#pool.totalCount;
  }

  get freeCount(): number {
    return this.#pool.freeCount;
  }

  /** Published pages, held or not. */
  get cachedCount(): number {
    return this.#tree.size;
  }

  /**
   * The longest prefix of its tokens that is computed: whole pages, and never the last token, whose
   * logits are wanted. Nothing for a sequence that still wants logits of its prompt.
   */
  find(history: TokenHistory): CachedPrefix {
    const { tokens, request, promptLogitsDelivered, promptTokenCount } = history;
    const wantsPrompt = request.promptLogits === true && promptLogitsDelivered < promptTokenCount;
    if (!this.sharing || wantsPrompt) return nothingCached;
    const nodes = this.#tree.match(tokens, tokens.length - 1);
    if (nodes.length === 0) return nothingCached;
    // A sequence that holds a page holds those above it.
    const heldPages = firstIndex(nodes.length, (index) => this.#holders(nodes[index]?.page) === 0);
    return { nodes, tokens: nodes.length * this.#kvPageSize, heldPages };
  }

  /**
   * Names what a sequence computes in the page after its first `pageCount` pages, of which `after`
   * is the last. Undefined where that page will never be full, or is not shared.
   */
  nextPageKey(
    history: TokenHistory,
    after: PrefixNode | undefined,
    pageCount: number,
  ): string | undefined {
    const firstPosition = pageCount * this.#kvPageSize;
    const neverFull = firstPosition + this.#kvPageSize > history.tokens.length - 1;
    if (!this.sharing || neverFull) return undefined;
    return `${after?.page ?? 'root'}:${this.#tree.hash(history.tokens, firstPosition)}`;
  }

  /**
   * Gives a starting sequence its prefix, but no more than the `tokensMax` tokens that its plan
   * counts on: every page of it is one that is free no more.
   */
  start(sequence: RunningSequence, tokensMax: number): void {
    const { table, slot } = sequence;
    const nodes = this.find(sequence.history).nodes.slice(0, tokensMax / this.#kvPageSize);
    for (const { page } of nodes) {
      if (page === undefined) continue;
      this.#pool.hold(page);
      table.kvPages.push(slot, page);
    }
    sequence.computedTokens = nodes.length * this.#kvPageSize;
    if (!this.sharing) return;
    sequence.published = { node: nodes.at(-1) ?? this.#tree.root, pages: nodes.length };
  }

  /** Allocates pages until the sequence has enough for so many tokens. */
  grow({ table, slot }: RunningSequence, tokens: number): void {
    while (table.kvPages.length(slot) * this.#kvPageSize < tokens) {
      table.kvPages.push(slot, this.#pool.allocate());
    }
  }

  /**
   * Publishes the pages that have become full. Where another sequence computed the same before, its
   * page takes the place of this sequence's own, which has the same contents.
   */
  publish(sequence: RunningSequence): void {
    const { table, slot, computedTokens } = sequence;
    for (let { published } = sequence; published !== undefined; { published } = sequence) {
      const { node, pages } = published;
      if ((pages + 1) * this.#kvPageSize > computedTokens) return;
      const own = table.kvPages.at(slot, pages);
      if (own === undefined) return;
      const firstPosition = pages * this.#kvPageSize;
      const there = this.#tree.childOrAdded(node, sequence.history.tokens, firstPosition, own);
      sequence.published = there && { node: there, pages: pages + 1 };
      if (there?.page === own) this.#pool.keep(own);
      else if (there?.page !== undefined) {
        this.#pool.hold(there.page);
        this.#pool.free([own]);
        table.kvPages.replace(slot, pages, there.page);
      }
    }
  }

  /** One holder less of each of these pages. */
  free(pages: readonly KvPageId[]): void {
    this.#pool.free(pages);
  }

  /** Pages that would be free without the sequence: those that no other one holds. */
  freedBy({ table, slot }: RunningSequence): number {
    const count = table.kvPages.length(slot);
    if (this.#pool.sharedCount === 0) return count;
    const isOwn = (index: number): boolean => this.#holders(table.kvPages.at(slot, index)) <= 1;
    return count - firstIndex(count, isOwn);
  }

  #holders(page: KvPageId | undefined): number {
    return page === undefined ? 0 : this.#pool.holders(page);
  }
}

/** The first of 0 … count for which `test` holds; it holds for all after that. */
function firstIndex(count: number, test: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (test(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
