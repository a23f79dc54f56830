/**
 * What is to happen, earliest first; what happens at the same time in the order it was added. Two
 * whole numbers say what it is. Nothing is allocated per event; room doubles up to `capacityMax`.
 */
export class EventHeap {
  /** Of the event that `pop` took. */
  timeUs = 0;
  kind = 0;
  argument = 0;
  #count = 0;
  #added = 0;
  #times = new Float64Array(64);
  #orders = new Float64Array(64);
  #kinds = new Int32Array(64);
  #arguments = new Float64Array(64);

  constructor(private readonly capacityMax = 1 << 22) {}

  get size(): number {
    return this.#count;
  }

  /** When the next event is; Infinity without one. */
  get nextUs(): number {
    return this.#count === 0 ? Infinity : (this.#times[0] ?? Infinity);
  }

  /** @throws RangeError beyond `capacityMax` events. */
  push(timeUs: number, kind: number, argument: number): void {
    if (this.#count === this.#times.length) this.#grow();
    let at = this.#count;
    this.#count += 1;
    const order = (this.#added += 1);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      // A newcomer comes after whatever is at the same time.
      if ((this.#times[parent] ?? 0) <= timeUs) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#times[at] = timeUs;
    this.#orders[at] = order;
    this.#kinds[at] = kind;
    this.#arguments[at] = argument;
  }

  /** False when there is none. */
  pop(): boolean {
    if (this.#count === 0) return false;
    this.timeUs = this.#times[0] ?? 0;
    this.kind = this.#kinds[0] ?? 0;
    this.argument = this.#arguments[0] ?? 0;
    this.#count -= 1;
    const last = this.#count;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= last) break;
      if (child + 1 < last && this.#before(child + 1, child)) child += 1;
      if (!this.#before(child, last)) break;
      this.#move(child, at);
      at = child;
    }
    this.#move(last, at);
    return true;
  }

  #before(a: number, b: number): boolean {
    const [first = 0, second = 0] = [this.#times[a], this.#times[b]];
    return first < second || (first === second && (this.#orders[a] ?? 0) < (this.#orders[b] ?? 0));
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from] ?? 0;
    this.#orders[to] = this.#orders[from] ?? 0;
    this.#kinds[to] = this.#kinds[from] ?? 0;
    this.#arguments[to] = this.#arguments[from] ?? 0;
  }

  #grow(): void {
    const size = 2 * this.#times.length;
    if (size > this.capacityMax) throw new RangeError(`More than ${this.capacityMax} events wait.`);
    const [times, orders] = [new Float64Array(size), new Float64Array(size)];
    const [kinds, values] = [new Int32Array(size), new Float64Array(size)];
    times.set(this.#times);
    orders.set(this.#orders);
    kinds.set(this.#kinds);
    values.set(this.#arguments);
    this.#times = times;
    this.#orders = orders;
    this.#kinds = kinds;
    this.#arguments = values;
  }
}
