import { kvPageId, type KvPageId } from '@megascale/core';

/** Up to so many pages a loop copies faster than `TypedArray.set`, which needs a view of the part. */
const loopMax = 64;
/** Keeps the starts of tables, which all begin a power of two apart, from falling on the same places of a cache. */
const padding = 16;

/** The KV pages of sequences by seat, each in position order: one array, since every step copies the tables of all. */
export class PageTables {
  #pages = new Int32Array(0);
  #lengths = new Int32Array(0);
  /** Pages that each has room for. */
  #room = 16;

  get #stride(): number {
    return this.#room + padding;
  }

  /** From now on there are so many seats; at least as many as before. */
  resize(seats: number): void {
    const lengths = new Int32Array(seats);
    lengths.set(this.#lengths);
    this.#lengths = lengths;
    this.#widen(this.#room);
  }

  length(seat: number): number {
    return this.#lengths[seat] ?? 0;
  }

  /** Undefined past the end. */
  at(seat: number, index: number): KvPageId | undefined {
    return index < this.length(seat)
      ? kvPageId(this.#pages[seat * this.#stride + index] ?? 0)
      : undefined;
  }

  push(seat: number, page: KvPageId): void {
    const length = this.length(seat);
    if (length === this.#room) this.#widen(2 * this.#room);
    this.#pages[seat * this.#stride + length] = page;
    this.#lengths[seat] = length + 1;
  }

  /** `index` < length. */
  replace(seat: number, index: number, page: KvPageId): void {
    this.#pages[seat * this.#stride + index] = page;
  }

  clear(seat: number): void {
    this.#lengths[seat] = 0;
  }

  /**
   * The first `count` pages, to `target` from `place` on.
   *
   * @throws RangeError when there are fewer.
   */
  copyTo(seat: number, target: Int32Array, place: number, count: number): void {
    if (count > this.length(seat)) {
      throw new RangeError(`The sequence has ${this.length(seat)} KV pages, not ${count}.`);
    }
    const pages = this.#pages;
    const start = seat * this.#stride;
    if (count > loopMax) target.set(pages.subarray(start, start + count), place);
    else
      for (let index = 0; index < count; index += 1) {
        target[place + index] = pages[start + index] ?? 0;
      }
  }

  ids(seat: number): KvPageId[] {
    const start = seat * this.#stride;
    return Array.from(this.#pages.subarray(start, start + this.length(seat)), kvPageId);
  }

  #widen(room: number): void {
    const [before, strideBefore] = [this.#pages, this.#stride];
    this.#room = room;
    this.#pages = new Int32Array(this.#lengths.length * this.#stride);
    for (const [seat, length] of this.#lengths.entries()) {
      const start = seat * strideBefore;
      if (length > 0) this.#pages.set(before.subarray(start, start + length), seat * this.#stride);
    }
  }
}
