import { kvPageId, type KvPageId } from '@megascale/core';

/** Pages that `tokens` tokens of one sequence need: whole numbers of 31 bits. */
export function pagesForTokens(tokens: number, kvPageSize: number): number {
  return ((tokens + kvPageSize - 1) / kvPageSize) | 0;
}

/** Pages that `tokens` tokens of one sequence need beyond the `kvPages` that it has. */
export function pagesMissing(tokens: number, kvPages: number, kvPageSize: number): number {
  // Mostly they fit, and dividing costs more than this.
  return tokens <= kvPages * kvPageSize ? 0 : pagesForTokens(tokens, kvPageSize) - kvPages;
}

/**
 * Counts the holders of each page of one attention worker's KV pool. The pages themselves belong to
 * the backend. A page may have several holders. A page without any is free. A free page whose
 * contents are worth keeping is allocated only when no other page is free, the one that has been
 * free longest first. Otherwise the page freed last is allocated first; a fresh pool allocates
 * 0, 1, 2 …. So the same calls give the same pages.
 *
 * @throws RangeError where the caller allocates from an empty pool, frees a page twice, or names a
 *   page of another pool.
 */
export class PagePool {
  readonly totalCount: number;
  /** The free pages that keep nothing; the next one to allocate is at `#emptyCount - 1`. */
  readonly #empty: Int32Array;
  #emptyCount: number;
  readonly #holders: Int32Array;
  readonly #kept: Uint8Array;
  /**
   * Kept pages without a holder, as a ring of links. The entry past the last page is the start and
   * the end of the ring.
   */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  #keptFreeCount = 0;
  #sharedCount = 0;
  readonly #onLost: (page: KvPageId) => void;

  /** Calls `onLost` when it allocates a kept page, whose contents are then lost. */
  constructor(pageCount: number, onLost: (page: KvPageId) => void = () => undefined) {
    if (!Number.isInteger(pageCount) || pageCount < 1) {
      throw new RangeError(`A page pool needs at least one page, not ${pageCount}.`);
    }
    this.totalCount = pageCount;
    this.#empty = Int32Array.from({ length: pageCount }, (_, index) => pageCount - 1 - index);
    this.#emptyCount = pageCount;
    this.#holders = new Int32Array(pageCount);
    this.#kept = new Uint8Array(pageCount);
    this.#next = new Int32Array(pageCount + 1).fill(pageCount);
    this.#previous = new Int32Array(pageCount + 1).fill(pageCount);
    this.#onLost = onLost;
  }

  /** Pages without a holder, kept ones included. */
  get freeCount(): number {
    return this.#emptyCount + this.#keptFreeCount;
  }

  /** Kept pages without a holder. */
  get keptFreeCount(): number {
    return this.#keptFreeCount;
  }

  /** Pages with more than one holder. */
  get sharedCount(): number {
    return this.#sharedCount;
  }

  holders(page: KvPageId): number {
    return this.#holders[page] ?? 0;
  }

  /** A free page, with one holder. */
  allocate(): KvPageId {
    const page = this.#emptyCount > 0 ? this.#allocateEmpty() : this.#allocateKept();
    this.#holders[page] = 1;
    return kvPageId(page);
  }

  /** One more holder of a page that has some, or of a kept one. */
  hold(page: KvPageId): void {
    this.#mustBeOfPool(page);
    if (this.#holders[page] === 0) {
      if (this.#kept[page] === 0) {
        throw new RangeError(`KV page ${page} is free and keeps nothing.`);
      }
      this.#unlink(page);
    }
    const holders = this.holders(page) + 1;
    this.#holders[page] = holders;
    if (holders === 2) this.#sharedCount += 1;
  }

  /** The contents of this page are worth keeping after its last holder. */
  keep(page: KvPageId): void {
    this.#mustBeOfPool(page);
    if (this.#holders[page] === 0) {
      throw new RangeError(`KV page ${page} is free; no sequence wrote it.`);
    }
    this.#kept[page] = 1;
  }

  /**
   * One holder less of each of these pages. A wrong page leaves the pool as it was. The last of a
   * sequence's pages is the first whose contents are lost.
   */
  free(pages: readonly KvPageId[]): void {
    this.#check(pages);
    for (let index = pages.length - 1; index >= 0; index -= 1) {
      const page = pages[index] ?? kvPageId(0);
      const holders = this.holders(page) - 1;
      this.#holders[page] = holders;
      if (holders === 1) this.#sharedCount -= 1;
      if (holders > 0) continue;
      if (this.#kept[page] === 1) this.#linkLast(page);
      else this.#empty[this.#emptyCount++] = page;
    }
  }

  #allocateEmpty(): number {
    this.#emptyCount -= 1;
    return this.#empty[this.#emptyCount] ?? 0;
  }

  #allocateKept(): number {
    const page = this.#next[this.totalCount] ?? this.totalCount;
    if (page === this.totalCount) {
      throw new RangeError(`All ${this.totalCount} KV pages are taken; ask freeCount first.`);
    }
    this.#unlink(page);
    this.#kept[page] = 0;
    this.#onLost(kvPageId(page));
    return page;
  }

  #linkLast(page: number): void {
    const end = this.totalCount;
    const last = this.#previous[end] ?? end;
    this.#next[last] = page;
    this.#previous[page] = last;
    this.#next[page] = end;
    this.#previous[end] = page;
    this.#keptFreeCount += 1;
  }

  #unlink(page: number): void {
    const [next, previous] = [this.#next[page] ?? 0, this.#previous[page] ?? 0];
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#keptFreeCount -= 1;
  }

  #check(pages: readonly KvPageId[]): void {
    for (const page of pages) this.#mustBeOfPool(page);
    const times = new Map<KvPageId, number>();
    for (const page of pages) times.set(page, (times.get(page) ?? 0) + 1);
    for (const [page, count] of times) {
      if (count <= this.holders(page)) continue;
      throw new RangeError(`KV pages ${pages.join()} are freed, but not all were taken.`);
    }
  }

  #mustBeOfPool(page: KvPageId): void {
    if (this.#holders[page] !== undefined) return;
    throw new RangeError(`KV page ${page} is not of this pool of ${this.totalCount} pages.`);
  }
}
