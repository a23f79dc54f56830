const fields = 3;

/** Requests that wait, first in, first out; room doubles where it is short. */
export class WaitingRing {
  count = 0;
  #first = 0;
  /** [room] (arrival, prompt, output) */
  #values = new Float64Array(16 * fields);

  /** Of the first. */
  get arrivedS(): number {
    return this.#values[fields * this.#first] ?? 0;
  }

  get prompt(): number {
    return this.#values[fields * this.#first + 1] ?? 0;
  }

  get output(): number {
    return this.#values[fields * this.#first + 2] ?? 0;
  }

  push(arrivedS: number, prompt: number, output: number): void {
    if (this.count === this.#room) this.#grow();
    const at = fields * ((this.#first + this.count) % this.#room);
    this.#values[at] = arrivedS;
    this.#values[at + 1] = prompt;
    this.#values[at + 2] = output;
    this.count += 1;
  }

  shift(): void {
    this.#first = (this.#first + 1) % this.#room;
    this.count -= 1;
  }

  get #room(): number {
    return this.#values.length / fields;
  }

  #grow(): void {
    const larger = new Float64Array(2 * this.#values.length);
    for (let index = 0; index < this.count; index += 1) {
      const from = fields * ((this.#first + index) % this.#room);
      larger.set(this.#values.subarray(from, from + fields), fields * index);
    }
    this.#values = larger;
    this.#first = 0;
  }
}
