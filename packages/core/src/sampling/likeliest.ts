/**
 * A set of tokens that gives them out in falling order of logit, ties in rising order of id: a
 * binary heap over memory taken once. Adding costs O(1), the first `pop` O(n), each further one
 * O(log n): asking for the best few sorts nothing.
 */
export class Likeliest {
  readonly #ids: Int32Array;
  #logits: Float32Array = new Float32Array(0);
  #size = 0;
  #isHeap = false;

  constructor(vocabSize: number) {
    this.#ids = new Int32Array(vocabSize);
  }

  get size(): number {
    return this.#size;
  }

  /** Empties the set. `logits` is read until the last `pop`. */
  start(logits: Float32Array): void {
    this.#logits = logits;
    this.#size = 0;
    this.#isHeap = false;
  }

  /** Adds a token; all are added before the first `pop`. */
  add(tokenId: number): void {
    this.#ids[this.#size++] = tokenId;
  }

  /** Starts anew with all tokens of at least this logit. */
  fill(logits: Float32Array, logitMin: number): void {
    this.start(logits);
    for (let id = 0; id < logits.length; id++) {
      if ((logits[id] ?? 0) >= logitMin) this.add(id);
    }
  }

  /** The best token left; the set must not be empty. */
  pop(): number {
    if (this.#size === 0) throw new RangeError('Likeliest.pop of an empty set');
    if (!this.#isHeap) {
      for (let parent = (this.#size >> 1) - 1; parent >= 0; parent--) this.#sink(parent);
      this.#isHeap = true;
    }
    const best = this.#ids[0] ?? 0;
    this.#size--;
    this.#ids[0] = this.#ids[this.#size] ?? 0;
    this.#sink(0);
    return best;
  }

  #sink(start: number): void {
    const ids = this.#ids;
    let parent = start;
    for (;;) {
      let best = parent;
      const left = 2 * parent + 1;
      if (left < this.#size && this.#before(left, best)) best = left;
      if (left + 1 < this.#size && this.#before(left + 1, best)) best = left + 1;
      if (best === parent) return;
      const moved = ids[parent] ?? 0;
      ids[parent] = ids[best] ?? 0;
      ids[best] = moved;
      parent = best;
    }
  }

  #before(a: number, b: number): boolean {
    const idA = this.#ids[a] ?? 0;
    const idB = this.#ids[b] ?? 0;
    const logitA = this.#logits[idA] ?? 0;
    const logitB = this.#logits[idB] ?? 0;
    return logitA > logitB || (logitA === logitB && idA < idB);
  }
}
