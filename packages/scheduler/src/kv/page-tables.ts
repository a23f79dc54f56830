import { kvPageId, type KvPageId } from '@megascale/core';

/**
 * Up to so many pages a loop copies faster than `TypedArray.set`, which needs a view of the part.
 */
const loopMax = 64;
/**
 * Keeps the starts of tables, which all begin a power of two apart, from falling on the same places
 * of a cache.
 */
const padding = 16;

/**
 * The KV pages of sequences by batch slot, each in position order: one array, since every step
 * copies the tables of all.
 */
export class PageTables {
  #pages = new Int32Array(0);
  #lengths = new Int32Array(0);
  /** Pages that each has room for. */
  #room = 16;

  get #stride(): number {
    return this.#room + padding;
  }

  /** Makes room for so many slots, at least as many as before. */
  resize(slots: number): void {
    const lengths = new Int32Array(slots);
    lengths.set(this.#lengths);
    this.#lengths = lengths;
    this.#widen(this.#room);
  }

  length(slot: number): number {
    return this.#lengths[slot] ?? 0;
  }

  /** Undefined past the end. */
  at(slot: number, index: number): KvPageId | undefined {
    return index < this.length(slot)
      ? kvPageId(this.#pages[slot * this.#stride + index] ?? 0)
      : undefined;
  }

  push(slot: number, page: KvPageId): void {
    const length = this.length(slot);
    if (length === this.#room) this.#widen(2 * this.#room);
    this.#pages[slot * this.#stride + length] = page;
    this.#lengths[slot] = length + 1;
  }

  /** `index` < length. */
  replace(slot: number, index: number, page: KvPageId): void {
    this.#pages[slot * this.#stride + index] = page;
  }

  clear(slot: number): void {
    this.#lengths[slot] = 0;
  }

  /**
   * The first `count` pages, to `target` from `place` on.
   *
   * @throws RangeError when there are fewer.
   */
  copyTo(slot: number, target: Int32Array, place: number, count: number): void {
    if (count > this.length(slot)) {
      throw new RangeError(`The sequence has ${this.length(slot)} KV pages, not ${count}.`);
    }
    const pages = this.#pages;
    const start = slot * this.#stride;
    if (count > loopMax) target.set(pages.subarray(start, start + count), place);
    else
      for (let index = 0; index < count; index += 1) {
        target[place + index] = pages[start + index] ?? 0;
      }
  }

  ids(slot: number): KvPageId[] {
    const start = slot * this.#stride;
    return Array.from(this.#pages.subarray(start, start + this.length(slot)), kvPageId);
  }

  #widen(room: number): void {
    const [before, strideBefore] = [this.#pages, this.#stride];
    this.#room = room;
    this.#pages = new Int32Array(this.#lengths.length * this.#stride);
    for (const [slot, length] of this.#lengths.entries()) {
      const start = slot * strideBefore;
      if (length > 0) this.#pages.set(before.subarray(start, start + length), slot * this.#stride);
    }
  }
}
