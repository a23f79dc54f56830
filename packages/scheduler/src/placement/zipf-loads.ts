import { emptyWindow, type LoadTraceHeader, type LoadWindow } from './expert-loads.js';

export interface ZipfOptions extends LoadTraceHeader {
  /** The r-th most popular expert is chosen in proportion to r^-exponent. 0: all alike. */
  readonly exponent: number;
  readonly seed: number;
  /**
   * Whether one expert is hot in every layer, or each layer has an order of its own. Default
   * 'each-layer'.
   */
  readonly order?: 'each-layer' | 'all-layers';
  /** Pairs of experts of each layer that trade their popularity between two windows. Default 0. */
  readonly swapsPerWindow?: number;
}

/**
 * Draws routes of tokens whose experts' popularity follows Zipf's law: traffic for tests,
 * benchmarks and plans before there is any.
 */
export class ZipfRoutes {
  readonly #options: ZipfOptions;
  /** Of the ranks in popularity: [experts] sums of the weights up to each. */
  readonly #sums: Float64Array;
  /** [layers][experts] the expert at each rank of popularity. */
  readonly #orders: Int32Array[];
  #state: number;

  constructor(options: ZipfOptions) {
    const { expertCount, layerCount, exponent, seed } = options;
    this.#options = options;
    this.#state = seed | 0;
    this.#sums = new Float64Array(expertCount);
    let sum = 0;
    for (let rank = 0; rank < expertCount; rank++) {
      sum += (rank + 1) ** -exponent;
      this.#sums[rank] = sum;
    }
    const first = this.#shuffled(expertCount);
    this.#orders = Array.from({ length: layerCount }, (_, layer) =>
      layer === 0 || options.order === 'all-layers' ? first.slice() : this.#shuffled(expertCount),
    );
  }

  /** expertIds[tokens × topK]: of each token distinct experts, drawn one after the other. */
  route(layer: number, expertIds: Int32Array, tokens: number): void {
    const { topK } = this.#options;
    const order = this.#orders[layer];
    if (order === undefined) throw new RangeError(`There is no layer ${layer}.`);
    for (let token = 0; token < tokens; token++) {
      const from = token * topK;
      for (let index = from; index < from + topK; index++) {
        let id: number;
        do id = order[this.#rank()] ?? 0;
        while (contains(expertIds, id, from, index));
        expertIds[index] = id;
      }
    }
  }

  /** Lets popularity change as between two windows. */
  drift(): void {
    const { swapsPerWindow = 0, order: shared } = this.#options;
    const swaps = Math.floor(swapsPerWindow) + (this.#fraction() < swapsPerWindow % 1 ? 1 : 0);
    for (let swap = 0; swap < swaps; swap++) {
      const pair = [this.#below(), this.#below()] as const;
      for (const order of this.#orders) {
        const [one, other] = shared === 'all-layers' ? pair : [this.#below(), this.#below()];
        const kept = order[one] ?? 0;
        order[one] = order[other] ?? 0;
        order[other] = kept;
      }
    }
  }

  /** A rank in popularity, by binary search. */
  #rank(): number {
    const sums = this.#sums;
    const wanted = this.#fraction() * (sums[sums.length - 1] ?? 0);
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) > wanted) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #below(): number {
    return Math.floor(this.#fraction() * this.#options.expertCount);
  }

  #shuffled(count: number): Int32Array {
    const order = Int32Array.from({ length: count }, (_, index) => index);
    for (let last = count - 1; last > 0; last--) {
      const other = Math.floor(this.#fraction() * (last + 1));
      const kept = order[last] ?? 0;
      order[last] = order[other] ?? 0;
      order[other] = kept;
    }
    return order;
  }

  /** 0 ≤ value < 1 (splitmix32: a Weyl sequence, mixed). */
  #fraction(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let word = Math.imul(this.#state ^ (this.#state >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    return ((word ^ (word >>> 15)) >>> 0) / 2 ** 32;
  }
}

export interface ZipfTraceOptions extends ZipfOptions {
  readonly windows: number;
  readonly dispatchesPerWindow: number;
  readonly tokensPerDispatch: number;
  readonly windowUs: number;
}

/**
 * The windows of a trace of such traffic, in one object that is filled again. The same options give
 * the same trace.
 */
export function* zipfTrace(options: ZipfTraceOptions): Generator<LoadWindow, void> {
  const { layerCount, expertCount, topK, dispatchesPerWindow, tokensPerDispatch } = options;
  const routes = new ZipfRoutes(options);
  const window = emptyWindow(options);
  const ids = new Int32Array(tokensPerDispatch * topK);
  for (let index = 0; index < options.windows; index++) {
    if (index > 0) routes.drift();
    window.startUs = index * options.windowUs;
    window.durationUs = options.windowUs;
    window.dispatches = dispatchesPerWindow;
    window.rows.fill(0);
    for (let dispatch = 0; dispatch < dispatchesPerWindow; dispatch++) {
      for (let layer = 0; layer < layerCount; layer++) {
        routes.route(layer, ids, tokensPerDispatch);
        for (const id of ids) {
          const cell = layer * expertCount + id;
          window.rows[cell] = (window.rows[cell] ?? 0) + 1;
        }
      }
    }
    yield window;
  }
}

function contains(ids: Int32Array, id: number, from: number, to: number): boolean {
  for (let index = from; index < to; index++) if (ids[index] === id) return true;
  return false;
}
