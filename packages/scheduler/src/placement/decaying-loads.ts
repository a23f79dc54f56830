import type { ExpertLoads, LoadTraceHeader, LoadWindow } from './expert-loads.js';

/** The loads of recent traffic: what is older by one half-life counts half. */
export class DecayingLoads implements ExpertLoads {
  readonly layerCount: number;
  readonly expertCount: number;
  /** [layers, experts] */
  readonly rows: Float64Array;
  readonly #halfLifeUs: number;
  #dispatches = 0;

  constructor({ layerCount, expertCount }: LoadTraceHeader, halfLifeUs: number) {
    this.layerCount = layerCount;
    this.expertCount = expertCount;
    this.#halfLifeUs = halfLifeUs;
    this.rows = new Float64Array(layerCount * expertCount);
  }

  get dispatches(): number {
    return this.#dispatches;
  }

  /** Rows of all experts in all layers. */
  get total(): number {
    return this.rows.reduce((sum, count) => sum + count, 0);
  }

  add({ rows, dispatches, durationUs }: Omit<LoadWindow, 'startUs'>): void {
    const kept = 0.5 ** (durationUs / this.#halfLifeUs);
    this.#dispatches = this.#dispatches * kept + dispatches;
    for (let index = 0; index < this.rows.length; index++) {
      this.rows[index] = (this.rows[index] ?? 0) * kept + (rows[index] ?? 0);
    }
  }
}
