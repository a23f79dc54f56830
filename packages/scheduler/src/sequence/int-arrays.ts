const slabLength = 16_384;

/** Arrays of zeros, cut from large ones one after the other: a small array of its own costs far more than what it holds. */
export class IntArrays {
  #slab = new Int32Array(0);
  #taken = 0;

  /** Nobody else has it, or ever will. */
  take(length: number): Int32Array<ArrayBuffer> {
    if (length > slabLength) return new Int32Array(length);
    if (this.#taken + length > this.#slab.length) {
      this.#slab = new Int32Array(slabLength);
      this.#taken = 0;
    }
    const start = this.#taken * Int32Array.BYTES_PER_ELEMENT;
    this.#taken += length;
    return new Int32Array(this.#slab.buffer, start, length);
  }
}
