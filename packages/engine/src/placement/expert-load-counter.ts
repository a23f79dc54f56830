import type { WorkerMessage } from '../protocol/messages.js';

export interface ExpertLoadCounterOptions {
  readonly layerCount: number;
  readonly expertCount: number;
  /** Time between two reports to the coordinator, at least. */
  readonly windowUs: number;
  readonly send: (message: Extract<WorkerMessage, { type: 'expert-load-counted' }>) => void;
}

/**
 * Counts on an attention worker how many rows go to which expert of which layer. Counting allocates
 * nothing; a report does.
 */
export class ExpertLoadCounter {
  readonly #options: ExpertLoadCounterOptions;
  /** [layers, experts] rows since the last report. */
  readonly #rows: Int32Array;
  #dispatches = 0;
  #startUs: number | undefined;

  constructor(options: ExpertLoadCounterOptions) {
    this.#options = options;
    this.#rows = new Int32Array(options.layerCount * options.expertCount);
  }

  /** Counts the routes of one micro-batch: expertIds[count], where −1 is no expert. */
  count(layer: number, expertIds: Int32Array, count: number, nowUs: number): void {
    const { expertCount } = this.#options;
    const rows = this.#rows;
    const start = layer * expertCount;
    this.#startUs ??= nowUs;
    if (layer === 0) this.#dispatches += 1;
    for (let index = 0; index < count; index++) {
      const id = expertIds[index] ?? -1;
      if (id >= 0 && id < expertCount) rows[start + id] = (rows[start + id] ?? 0) + 1;
    }
  }

  /**
   * Reports between steps, once the window is over; with `idle` at once, since no step may follow
   * for long.
   */
  report(nowUs: number, idle = false): void {
    const startUs = this.#startUs;
    if (startUs === undefined) return;
    if (!idle && nowUs - startUs < this.#options.windowUs) return;
    this.#options.send({
      type: 'expert-load-counted',
      durationUs: Math.max(0, Math.round(nowUs - startUs)),
      dispatches: this.#dispatches,
      rows: this.#rows.slice(),
    });
    this.#rows.fill(0);
    this.#dispatches = 0;
    this.#startUs = undefined;
  }
}
