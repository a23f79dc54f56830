import { kvPageId, type KvPageId } from '@megascale/core';

/** Up to so many pages a loop copies faster than `TypedArray.set`, which needs a view of the part. */
const loopMax = 64;

/** The KV pages of one sequence, in position order. Typed, since every step copies the table of every sequence. */
export class PageTable {
  #pages = new Int32Array(16);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Undefined past the end. */
  at(index: number): KvPageId | undefined {
    return index < this.#length ? kvPageId(this.#pages[index] ?? 0) : undefined;
  }

  push(page: KvPageId): void {
    if (this.#length === this.#pages.length) {
      const wider = new Int32Array(2 * this.#length);
      wider.set(this.#pages);
      this.#pages = wider;
    }
    this.#pages[this.#length] = page;
    this.#length += 1;
  }

  /** `index` < length. */
  replace(index: number, page: KvPageId): void {
    this.#pages[index] = page;
  }

  /**
   * The first `count` pages, to `target` from `place` on.
   *
   * @throws RangeError when there are fewer.
   */
  copyTo(target: Int32Array, place: number, count: number): void {
    if (count > this.#length) {
      throw new RangeError(`The sequence has ${this.#length} KV pages, not ${count}.`);
    }
    const pages = this.#pages;
    if (count > loopMax) target.set(pages.subarray(0, count), place);
    else for (let index = 0; index < count; index += 1) target[place + index] = pages[index] ?? 0;
  }

  ids(): KvPageId[] {
    return Array.from(this.#pages.subarray(0, this.#length), kvPageId);
  }
}
