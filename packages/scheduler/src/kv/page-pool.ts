import { kvPageId, type KvPageId } from '@megascale/core';

/** Pages that `tokens` tokens of one sequence need. */
export function pagesForTokens(tokens: number, kvPageSize: number): number {
  return Math.ceil(tokens / kvPageSize);
}

/**
 * Says which pages of one attention worker's KV pool are free. The pages themselves belong to the backend. The page
 * given back last is taken first; a fresh pool hands out 0, 1, 2 …. So the same calls give the same pages.
 *
 * Misuse (taking from an empty pool, giving back twice, a page of another pool) is a bug of the caller: RangeError.
 */
export class PagePool {
  readonly totalCount: number;
  /** The free pages; the next one to take is at `#freeCount - 1`. */
  readonly #free: Int32Array;
  readonly #taken: Uint8Array;
  #freeCount: number;

  constructor(pageCount: number) {
    if (!Number.isInteger(pageCount) || pageCount < 1) {
      throw new RangeError(`A page pool needs at least one page, not ${pageCount}.`);
    }
    this.totalCount = pageCount;
    this.#free = Int32Array.from({ length: pageCount }, (_, index) => pageCount - 1 - index);
    this.#taken = new Uint8Array(pageCount);
    this.#freeCount = pageCount;
  }

  get freeCount(): number {
    return this.#freeCount;
  }

  take(): KvPageId {
    const page = this.#free[this.#freeCount - 1];
    if (page === undefined) {
      throw new RangeError(`All ${this.totalCount} KV pages are taken; ask freeCount first.`);
    }
    this.#freeCount -= 1;
    this.#taken[page] = 1;
    return kvPageId(page);
  }

  /** All or none: a wrong page leaves the pool as it was. */
  giveBack(pages: readonly KvPageId[]): void {
    this.#check(pages);
    for (const page of pages.toReversed()) {
      this.#free[this.#freeCount] = page;
      this.#freeCount += 1;
      this.#taken[page] = 0;
    }
  }

  #check(pages: readonly KvPageId[]): void {
    for (const page of pages) {
      if (this.#taken[page] === undefined) {
        throw new RangeError(`KV page ${page} is not of this pool of ${this.totalCount} pages.`);
      }
    }
    if (pages.some((page) => this.#taken[page] === 0) || new Set(pages).size < pages.length) {
      throw new RangeError(`KV pages ${pages.join()} are given back, but not all were taken.`);
    }
  }
}
