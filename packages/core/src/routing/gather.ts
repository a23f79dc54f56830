import type { GatherPolicy } from '../spec/transport.js';

/** A place in the order all attention ranks work in: by step, then layer, then micro-batch. */
export interface WorkPosition {
  readonly step: number;
  readonly layer: number;
  readonly microBatch: number;
}

/** Negative when `a` comes before `b`, 0 when they are the same place. */
export function comparePositions(a: WorkPosition, b: WorkPosition): number {
  return a.step - b.step || a.layer - b.layer || a.microBatch - b.microBatch;
}

/** Like `comparePositions`, but all micro-batches of a layer are the same place. */
export function compareLayers(a: WorkPosition, b: WorkPosition): number {
  return a.step - b.step || a.layer - b.layer;
}

/** A frame of rows that an expert rank holds until it serves it. */
export interface GatheredFrame extends WorkPosition {
  /** On the clock that also gives `Gather.decide` its time. */
  readonly arrivedUs: number;
}

/** What an expert rank knows of one attention rank. The owner of the frames keeps it up to date. */
export interface GatherSource<Frame extends GatheredFrame> {
  /** It has begun to send, and has not parked or closed since. */
  readonly active: boolean;
  /** The step of its last frame. */
  readonly step: number;
  /** Its next frame will not stand before this. */
  readonly next: WorkPosition;
  /** The frame it sent first, of those that are held. */
  readonly oldest: Frame | undefined;
  /** Holds the oldest frame no longer. */
  dropOldest(): void;
}

/**
 * 'serve': the first `servedCount` of `served` are to be computed together; they are no longer
 * held. 'wait': for `waitsForRank`, or until `waitsUntilUs`. 'idle': no frame is held.
 */
export type GatherDecision = 'serve' | 'wait' | 'idle';

/**
 * Decides when an expert rank starts, and which of the frames it holds it computes together. The
 * transport and the simulator both ask it. It knows no memory and no clock, and allocates nothing
 * once `served` has its greatest length.
 *
 * Lockstep. Let p be the least position among the held frames. Rank r is waited for when it is
 * active, has announced that its next frame may stand at p or before, and is at most one step
 * behind p. If there is no such rank, all held frames at p are served.
 *
 * Why this cannot deadlock, with any number of expert ranks that decide on their own: take the
 * unanswered frame with the least position p of all, of rank A, at expert rank e. Suppose e waits
 * for rank r. Then r is not blocked in `combine`: it would wait for a frame at q ≥ p, and ranks
 * send in ascending order to every expert rank, so r has sent e a frame at q or later, and what it
 * announced after q stands behind p: e would not wait. Nor is r blocked for room in a ring, because
 * an expert rank empties its rings at once. So r is at work and will send, park or close, each of
 * which ends the wait. Frame A is therefore served, and the argument starts again. How far a rank
 * may be behind plays no part in this: that rule only stops ranks that share no steps from pacing
 * each other.
 *
 * Layer. The same with (step, layer) for the position: p is the least (step, layer) held, and a
 * rank is waited for that may still send a frame of p's layer, its own further micro-batches
 * included. The argument holds because a rank dispatches all micro-batches of a layer before it
 * combines the first of them (`pingPong`): blocked in `combine` at layer q ≥ p, it has announced a
 * place in a layer after q, so no expert rank waits for it at p.
 *
 * Window. The held frame that arrived first names the layer; its frames are served when every
 * active rank has sent one, and `windowUs` after that arrival at the latest.
 */
export class Gather<Frame extends GatheredFrame> {
  /** By rank, then in the order of arrival. The entries past `servedCount` are of no use. */
  readonly served: Frame[] = [];
  servedCount = 0;
  waitsForRank: number | undefined;
  /** Infinity where time alone does not end the wait. */
  waitsUntilUs = Infinity;
  readonly #policy: GatherPolicy;
  readonly #ranks: readonly GatherSource<Frame>[];

  /** `ranks`: one for each attention rank. */
  constructor(policy: GatherPolicy, ranks: readonly GatherSource<Frame>[]) {
    this.#policy = policy;
    this.#ranks = ranks;
  }

  /** `nowUs` is read under 'window' alone. */
  decide(nowUs: number): GatherDecision {
    this.servedCount = 0;
    this.waitsForRank = undefined;
    this.waitsUntilUs = Infinity;
    switch (this.#policy.type) {
      case 'lockstep':
        return this.#decideTogether(comparePositions);
      case 'layer':
        return this.#decideTogether(compareLayers);
      case 'window':
        return this.#decideWindow(this.#policy.windowUs, nowUs);
    }
  }

  /** The held frame that stands first. */
  leastHeld(): Frame | undefined {
    let least: Frame | undefined;
    for (const { oldest } of this.#ranks) {
      if (oldest === undefined) continue;
      if (least === undefined || comparePositions(oldest, least) < 0) least = oldest;
    }
    return least;
  }

  /**
   * Serves all frames at the least place, once no rank may still send one; `compare` says what a
   * place is.
   */
  #decideTogether(compare: (a: WorkPosition, b: WorkPosition) => number): GatherDecision {
    const least = this.leastHeld();
    if (least === undefined) return 'idle';
    for (let index = 0; index < this.#ranks.length; index += 1) {
      const rank = this.#ranks[index];
      if (rank?.active !== true) continue;
      if (compare(rank.next, least) > 0 || rank.step < least.step - 1) continue;
      this.waitsForRank = index;
      return 'wait';
    }
    for (const rank of this.#ranks) {
      for (let { oldest } = rank; oldest !== undefined; { oldest } = rank) {
        if (compare(oldest, least) !== 0) break;
        this.#serve(rank, oldest);
      }
    }
    return 'serve';
  }

  #decideWindow(windowUs: number, nowUs: number): GatherDecision {
    let earliest: Frame | undefined;
    let missing = false;
    for (const { oldest, active } of this.#ranks) {
      if (oldest === undefined) missing ||= active;
      else if (earliest === undefined || oldest.arrivedUs < earliest.arrivedUs) earliest = oldest;
    }
    if (earliest === undefined) return 'idle';
    const endUs = earliest.arrivedUs + windowUs;
    if (missing && nowUs < endUs) {
      this.waitsUntilUs = endUs;
      return 'wait';
    }
    const { layer } = earliest;
    for (const rank of this.#ranks) {
      for (let { oldest } = rank; oldest?.layer === layer; { oldest } = rank) {
        this.#serve(rank, oldest);
      }
    }
    return 'serve';
  }

  #serve(rank: GatherSource<Frame>, frame: Frame): void {
    this.served[this.servedCount] = frame;
    this.servedCount += 1;
    rank.dropOldest();
  }
}
