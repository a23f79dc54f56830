import type { SimulatedGather } from '../simulated-instance.js';

/** Where a frame stands: step, then layer, then micro-batch, as one number that grows along the way. */
export interface Positions {
  readonly layers: number;
  readonly slots: number;
}

export function positionOf(
  { layers, slots }: Positions,
  step: number,
  layer: number,
  microBatch: number,
): number {
  return (step * layers + layer) * slots + microBatch;
}

interface Rank {
  active: boolean;
  step: number;
  /** Its next frame will not stand before this. */
  next: number;
  /** Oldest first. */
  readonly held: HeldFrame[];
}

/** A frame that waits at an expert worker. */
export interface HeldFrame {
  readonly rank: number;
  readonly position: number;
  readonly microBatch: number;
  readonly arrivedUs: number;
}

/**
 * Which frames an expert worker computes together: the rules of M2N's gather (packages/m2n/src/expert/gather.ts), over simulated time.
 */
export class GatherFrames {
  /** Of the newest `decide` that had to wait for a window's end; else Infinity. */
  waitsUntilUs = Infinity;
  readonly #ranks: readonly Rank[];

  constructor(
    private readonly gather: SimulatedGather,
    private readonly positions: Positions,
    attentionWorkers: number,
  ) {
    this.#ranks = Array.from({ length: attentionWorkers }, () => ({
      ...{ active: false, step: 0, next: 0 },
      held: [],
    }));
  }

  /** The rank begins a step whose first frame stands at `next`. */
  begin(rank: number, step: number, next: number): void {
    const state = this.#ranks[rank];
    if (state === undefined) return;
    // Frames of the step before may still be under way: what it announced for them holds.
    if (!state.active) {
      state.next = next;
      state.step = step;
    }
    state.active = true;
  }

  park(rank: number): void {
    const state = this.#ranks[rank];
    if (state !== undefined) state.active = false;
  }

  /** Forgets what the rank sent. */
  drop(rank: number): void {
    const state = this.#ranks[rank];
    if (state === undefined) return;
    state.active = false;
    state.held.length = 0;
  }

  arrive(frame: HeldFrame, next: number): void {
    const state = this.#ranks[frame.rank];
    if (state === undefined) return;
    state.held.push(frame);
    state.next = next;
    state.step = this.#stepOf(frame.position);
  }

  /** The frames to serve now, taken out; none where there is something to wait for. */
  decide(nowUs: number): HeldFrame[] {
    this.waitsUntilUs = Infinity;
    const { gather } = this;
    if (gather.type === 'window') return this.#decideWindow(gather.windowUs, nowUs);
    return this.#decideTogether(gather.type === 'layer' ? this.positions.slots : 1);
  }

  #decideTogether(placeSize: number): HeldFrame[] {
    let least = Infinity;
    for (const { held } of this.#ranks) least = Math.min(least, held[0]?.position ?? Infinity);
    if (least === Infinity) return [];
    const place = Math.floor(least / placeSize);
    const step = this.#stepOf(least);
    for (const rank of this.#ranks) {
      if (!rank.active || Math.floor(rank.next / placeSize) > place) continue;
      if (rank.step >= step - 1) return [];
    }
    return this.#take((frame) => Math.floor(frame.position / placeSize) === place);
  }

  #decideWindow(windowUs: number, nowUs: number): HeldFrame[] {
    let earliest: HeldFrame | undefined;
    let missing = false;
    for (const { held, active } of this.#ranks) {
      const [oldest] = held;
      if (oldest === undefined) missing ||= active;
      else if (earliest === undefined || oldest.arrivedUs < earliest.arrivedUs) earliest = oldest;
    }
    if (earliest === undefined) return [];
    const endUs = earliest.arrivedUs + windowUs;
    if (missing && nowUs < endUs) {
      this.waitsUntilUs = endUs;
      return [];
    }
    const layer = this.#layerOf(earliest.position);
    return this.#take((frame) => this.#layerOf(frame.position) === layer);
  }

  #take(belongs: (frame: HeldFrame) => boolean): HeldFrame[] {
    const taken: HeldFrame[] = [];
    for (const { held } of this.#ranks) {
      for (let [oldest] = held; oldest !== undefined && belongs(oldest); [oldest] = held) {
        taken.push(oldest);
        held.shift();
      }
    }
    return taken;
  }

  #stepOf(position: number): number {
    return Math.floor(position / (this.positions.layers * this.positions.slots));
  }

  #layerOf(position: number): number {
    return Math.floor(position / this.positions.slots) % this.positions.layers;
  }
}
