/**
 * What a data thread can be doing. On attention workers 'step' holds everything of one step, and
 * 'wait' is for expert outputs. On expert workers 'wait' is for rows, and 'experts' computes them.
 */
export const eventKinds = [
  'step',
  'plan',
  'embed',
  'attend',
  'dispatch',
  'wait',
  'combine',
  'logits',
  'sample',
  'experts',
  'reply',
] as const;
export type EventKind = (typeof eventKinds)[number];

/** The index of each kind in `eventKinds`, for the hot path. */
export const eventKind = Object.fromEntries(
  eventKinds.map((kind, index) => [kind, index]),
) as Readonly<Record<EventKind, number>>;

/**
 * The newest events of one thread, oldest first, field by field: entry i of each array belongs to
 * event i. Times are those of `Clock.nowUs`.
 */
export interface Recording {
  /** Index into `eventKinds`. */
  readonly kinds: readonly number[];
  readonly startUs: readonly number[];
  readonly endUs: readonly number[];
  /** −1 where the event belongs to no layer, or to no micro-batch. */
  readonly layers: readonly number[];
  readonly microBatches: readonly number[];
  /** Tokens or rows. */
  readonly sizes: readonly number[];
  /** Older events that the ring has overwritten. */
  readonly lost: number;
}

/**
 * Keeps what a thread did last, in a ring of fixed size: cheap enough to be always on. It allocates
 * nothing per event. A capacity of 0 turns it off.
 */
export class FlightRecorder {
  readonly #capacity: number;
  readonly #kinds: Uint8Array;
  readonly #times: Float64Array;
  /** [events × 3] layer, micro-batch, size. */
  readonly #places: Int32Array;
  #count = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#kinds = new Uint8Array(capacity);
    this.#times = new Float64Array(2 * capacity);
    this.#places = new Int32Array(3 * capacity);
  }

  note(
    kind: number,
    startUs: number,
    endUs: number,
    layer: number,
    microBatch: number,
    size: number,
  ): void {
    if (this.#capacity === 0) return;
    const at = this.#count % this.#capacity;
    this.#count += 1;
    this.#kinds[at] = kind;
    this.#times[2 * at] = startUs;
    this.#times[2 * at + 1] = endUs;
    this.#places[3 * at] = layer;
    this.#places[3 * at + 1] = microBatch;
    this.#places[3 * at + 2] = size;
  }

  /** Returns a copy of the events; recording goes on. */
  read(): Recording {
    const kept = Math.min(this.#count, this.#capacity);
    const lost = this.#count - kept;
    const order = Array.from({ length: kept }, (_, index) => (lost + index) % this.#capacity);
    return {
      kinds: order.map((at) => this.#kinds[at] ?? 0),
      startUs: order.map((at) => this.#times[2 * at] ?? 0),
      endUs: order.map((at) => this.#times[2 * at + 1] ?? 0),
      layers: order.map((at) => this.#places[3 * at] ?? 0),
      microBatches: order.map((at) => this.#places[3 * at + 1] ?? 0),
      sizes: order.map((at) => this.#places[3 * at + 2] ?? 0),
      lost,
    };
  }
}
