import { Gather, type GatheredFrame, type GatherSource, type WorkPosition } from '@megascale/core';
import type { SimulatedGather } from '../simulated-instance.js';

/** A frame that waits at an expert worker. */
export interface HeldFrame extends GatheredFrame {
  readonly rank: number;
}

/**
 * The frames that a simulated expert worker holds. Which of them it computes together the gather
 * rules of `@megascale/core` decide, as in the transport, over simulated time.
 */
export class GatherFrames {
  readonly #ranks: readonly RankFrames[];
  readonly #rules: Gather<HeldFrame>;

  constructor(gather: SimulatedGather, attentionWorkers: number) {
    this.#ranks = Array.from({ length: attentionWorkers }, () => new RankFrames());
    this.#rules = new Gather(gather, this.#ranks);
  }

  /** When the newest `decide` has to be asked again at the latest; else Infinity. */
  get waitsUntilUs(): number {
    return this.#rules.waitsUntilUs;
  }

  /** The rank begins a step whose first frame stands at `next`. */
  begin(rank: number, next: WorkPosition): void {
    const state = this.#ranks[rank];
    if (state === undefined) return;
    // Frames of the step before may still be under way: what it announced for them holds.
    if (!state.active) {
      state.next = next;
      state.step = next.step;
    }
    state.active = true;
  }

  /** The rank has no step to go on with. */
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

  /** The rank announced that its frame after this one will not stand before `next`. */
  arrive(frame: HeldFrame, next: WorkPosition): void {
    const state = this.#ranks[frame.rank];
    if (state === undefined) return;
    state.held.push(frame);
    state.next = next;
    state.step = frame.step;
  }

  /** The frames to serve now, taken out; none where there is something to wait for. */
  decide(nowUs: number): HeldFrame[] {
    const decision = this.#rules.decide(nowUs);
    return decision === 'serve' ? this.#rules.served.slice(0, this.#rules.servedCount) : [];
  }
}

class RankFrames implements GatherSource<HeldFrame> {
  active = false;
  step = 0;
  next: WorkPosition = { step: 0, layer: 0, microBatch: 0 };
  /** Oldest first. */
  readonly held: HeldFrame[] = [];

  get oldest(): HeldFrame | undefined {
    return this.held[0];
  }

  dropOldest(): void {
    this.held.shift();
  }
}
