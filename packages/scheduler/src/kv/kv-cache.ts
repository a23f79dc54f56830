import type { KvPageId } from '@megascale/core';
import type { RunningSequence } from '../sequence/running-sequence.js';
import type { Seats } from '../sequence/seats.js';
import type { TokenHistory } from '../sequence/sequence.js';
import { PagePool } from './page-pool.js';
import { PrefixTree, type PrefixNode } from './prefix-tree.js';

/** What a sequence finds computed when it starts. */
export interface CachedPrefix {
  readonly nodes: readonly PrefixNode[];
  readonly tokens: number;
  /** Of its pages, those that running sequences hold: taking them too makes none less free. */
  readonly heldPages: number;
}

const nothingCached: CachedPrefix = { nodes: [], tokens: 0, heldPages: 0 };

/**
 * The pages of one attention worker's sequences: who holds which, and which full pages may be shared by sequences that begin with the same
 * tokens. Pages that only the cache knows count as free.
 */
export class KvCache {
  readonly #pool: PagePool;
  readonly #tree: PrefixTree;
  readonly #kvPageSize: number;
  /** Whether sequences may share pages at all. */
  readonly sharing: boolean;

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

  /** Pages whose contents a starting sequence may find, held or not. */
  get cachedCount(): number {
    return this.#tree.size;
  }

  /**
   * The longest prefix of its tokens that is computed: whole pages, and never the last token, whose logits are wanted. Nothing for a sequence
   * that still wants logits of its prompt.
   */
  find(history: TokenHistory): CachedPrefix {
    const { tokens, request, promptLogitsDelivered, promptTokenCount } = history;
    const wantsPrompt = request.promptLogits === true && promptLogitsDelivered < promptTokenCount;
    if (!this.sharing || wantsPrompt) return nothingCached;
    const nodes = this.#tree.match(tokens, tokens.length - 1);
    if (nodes.length === 0) return nothingCached;
    // Whoever holds a page holds those above it.
    const held = firstIndex(nodes.length, (index) => this.#holders(nodes[index]?.page) === 0);
    return { nodes, tokens: nodes.length * this.#kvPageSize, heldPages: held };
  }

  /** Names what a sequence computes in its next page after this prefix; undefined where that page will never be full, or is not shared. */
  nextPageKey(
    history: TokenHistory,
    after: KvPageId | undefined,
    pageCount: number,
  ): string | undefined {
    const firstPosition = pageCount * this.#kvPageSize;
    if (!this.sharing || firstPosition + this.#kvPageSize > history.tokens.length - 1)
      return undefined;
    return `${after ?? 'root'}:${this.#tree.hash(history.tokens, firstPosition)}`;
  }

  /** Gives a starting sequence its prefix: as much of it as its plan counts on, since every page of it is one that is free no more. */
  start(sequence: RunningSequence, tokensMax: number): void {
    const nodes = this.find(sequence.history).nodes.slice(0, tokensMax / this.#kvPageSize);
    for (const { page } of nodes) {
      if (page === undefined) continue;
      this.#pool.hold(page);
      sequence.seats.pages.push(sequence.seat, page);
    }
    sequence.computedTokens = nodes.length * this.#kvPageSize;
    const last = this.sharing ? (nodes.at(-1) ?? this.#tree.root) : undefined;
    sequence.offer(last, nodes.length, this.#kvPageSize);
  }

  /** Takes pages until there are enough for so many tokens. */
  grow(sequence: RunningSequence, tokens: number): void {
    const { seat, seats } = sequence;
    while (seats.pages.length(seat) * this.#kvPageSize < tokens) {
      seats.pages.push(seat, this.#pool.take());
    }
  }

  /**
   * Offers the pages that have become full to others. Where somebody computed the same before, that page takes the place of the
   * sequence's own, which has the same contents: true if any did.
   */
  share(sequence: RunningSequence): boolean {
    const { seat, seats } = sequence;
    let replaced = false;
    while (sequence.isSharingDue) {
      const { sharedUpTo: node, sharedPages } = sequence;
      const { tokens } = sequence.history;
      const firstPosition = sharedPages * this.#kvPageSize;
      const own = seats.pages.at(seat, sharedPages);
      if (own === undefined || node === undefined) break;
      const there = this.#tree.childOrAdded(node, tokens, firstPosition, own);
      if (there?.page === own) this.#pool.keep(own);
      else if (there?.page !== undefined) {
        this.#pool.hold(there.page);
        this.#pool.giveBack([own]);
        seats.pages.replace(seat, sharedPages, there.page);
        replaced = true;
      }
      sequence.offer(there, sharedPages + (there === undefined ? 0 : 1), this.#kvPageSize);
    }
    return replaced;
  }

  giveBack(pages: readonly KvPageId[]): void {
    this.#pool.giveBack(pages);
  }

  /** Pages that would be free without the sequence of this seat: those nobody else holds. */
  freedBy({ pages }: Seats, seat: number): number {
    const count = pages.length(seat);
    if (this.#pool.sharedCount === 0) return count;
    return count - firstIndex(count, (index) => this.#holders(pages.at(seat, index)) <= 1);
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
