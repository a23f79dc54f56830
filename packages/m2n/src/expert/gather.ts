import type { GatherPolicy } from '@megascale/core';
import {
  compareLayers,
  comparePositions,
  copyPosition,
  createFrame,
  type Frame,
  type Position,
} from '../protocol/frame.js';

/** A frame with rows that waits to be served. */
export interface HeldFrame extends Frame {
  readonly attentionRank: number;
  arrivedUs: number;
}

/**
 * 'serve': the first `servedCount` of `served` are to be computed together; they are no longer
 * held. 'wait': for `waitsForRank`, or until `waitsUntilUs`. 'idle': nothing is held. 'ended': and
 * every rank has closed.
 */
export type GatherDecision = 'serve' | 'wait' | 'idle' | 'ended';

interface RankState {
  /** Ring of slotCount frames; `first` is the oldest. */
  readonly held: readonly HeldFrame[];
  first: number;
  heldCount: number;
  /** Has sent something and not parked since. */
  active: boolean;
  closed: boolean;
  /** Step of its last frame. */
  step: number;
  /** Its next frame will not stand before this. */
  readonly next: Position;
  /** Frames so far, those without rows included. */
  arrivals: number;
}

/**
 * Decides which frames an expert rank computes together. Knows no memory and no clock.
 *
 * Lockstep. Let p be the least position among the held frames. Rank r is waited for when it is
 * active, has announced that its next frame may stand at p or before, and is at most one step
 * behind p. If there is none, all held frames at p are served.
 *
 * Why this cannot deadlock, with any number of expert ranks that decide on their own: take the
 * unanswered frame with the least position p of all, of rank A, at expert rank e. Suppose e waits
 * for rank r. Then r is not blocked in `combine`: it would wait for a frame at q ≥ p, and ranks
 * send in ascending order to every expert rank, so r has sent e a frame at q or later, and what it
 * announced after q stands behind p: e would not wait. Nor is r blocked for room in a ring, because
 * `receive` empties rings at once. So r is at work and will send, park or close, each of which ends
 * the wait. Frame A is therefore served, and the argument starts again. How far a rank may be
 * behind plays no part in this: that rule only stops ranks that share no steps from pacing each
 * other.
 *
 * Layer. The same with (step, layer) for the position: p is the least (step, layer) held, and a
 * rank is waited for that may still send a frame of p's layer, its own further micro-batches
 * included. The argument holds because a rank dispatches all micro-batches of a layer before it
 * combines the first of them (`pingPong`): blocked in `combine` at layer q ≥ p, it has announced a
 * place in a layer after q, so nobody waits for it at p.
 */
export class Gather {
  /**
   * [attention ranks × slotCount] the first `servedCount` are the frames to serve now, by attention
   * rank, then micro-batch. Entries are reused by `arrive`.
   */
  readonly served: HeldFrame[] = [];
  servedCount = 0;
  waitsForRank = -1;
  waitsUntilUs = Number.POSITIVE_INFINITY;
  /** Greatest step of any frame so far. */
  stepSeen = 0;
  private readonly ranks: readonly RankState[];

  constructor(
    private readonly options: {
      readonly attentionWorkerCount: number;
      readonly slotCount: number;
      readonly policy: GatherPolicy;
    },
  ) {
    const { attentionWorkerCount, slotCount } = options;
    this.ranks = Array.from({ length: attentionWorkerCount }, (_, attentionRank) => ({
      held: Array.from({ length: slotCount }, () => ({
        ...createFrame(),
        attentionRank,
        arrivedUs: 0,
      })),
      first: 0,
      heldCount: 0,
      active: false,
      closed: false,
      step: 0,
      next: { step: 0, layer: 0, microBatch: 0 },
      arrivals: 0,
    }));
  }

  /**
   * Takes a copy of `frame`. False when the rank breaks its order or sends more than its slots
   * hold.
   */
  arrive(attentionRank: number, frame: Frame, nowUs: number): boolean {
    const rank = this.rank(attentionRank);
    if (rank.closed) return true;
    if (frame.type === 'park') {
      rank.active = false;
      return true;
    }
    if (comparePositions(frame, rank.next) < 0) return false;
    if (comparePositions(frame.next, frame) <= 0) return false;
    rank.active = true;
    rank.arrivals++;
    rank.step = frame.step;
    copyPosition(frame.next, rank.next);
    if (frame.step > this.stepSeen) this.stepSeen = frame.step;
    return frame.rowCount === 0 || this.hold(rank, frame, nowUs);
  }

  /** The rank's end: it is not waited for, and what it sent is not served. */
  close(attentionRank: number): void {
    const rank = this.rank(attentionRank);
    rank.closed = true;
    rank.active = false;
    rank.heldCount = 0;
  }

  arrivalsOf(attentionRank: number): number {
    return this.rank(attentionRank).arrivals;
  }

  decide(nowUs: number): GatherDecision {
    this.servedCount = 0;
    this.waitsForRank = -1;
    this.waitsUntilUs = Number.POSITIVE_INFINITY;
    const { policy } = this.options;
    switch (policy.type) {
      case 'lockstep':
        return this.decideTogether(comparePositions);
      case 'layer':
        return this.decideTogether(compareLayers);
      case 'window':
        return this.decideWindow(policy.windowUs, nowUs);
    }
  }

  /** Serves all frames at the least place, once no rank may still send one; `compare` says what a place is. */
  private decideTogether(compare: (a: Position, b: Position) => number): GatherDecision {
    const least = this.leastHeld();
    if (least === undefined) return this.withoutFrames();
    for (let index = 0; index < this.ranks.length; index++) {
      const rank = this.rank(index);
      if (!rank.active) continue;
      if (compare(rank.next, least) > 0 || rank.step < least.step - 1) continue;
      this.waitsForRank = index;
      return 'wait';
    }
    for (const rank of this.ranks) {
      for (;;) {
        const oldest = oldestOf(rank);
        if (oldest === undefined || compare(oldest, least) !== 0) break;
        this.serve(rank, oldest);
      }
    }
    return 'serve';
  }

  private decideWindow(windowUs: number, nowUs: number): GatherDecision {
    let earliest: HeldFrame | undefined;
    let missing = false;
    for (const rank of this.ranks) {
      const oldest = oldestOf(rank);
      if (oldest === undefined) {
        missing ||= rank.active;
      } else if (earliest === undefined || oldest.arrivedUs < earliest.arrivedUs) {
        earliest = oldest;
      }
    }
    if (earliest === undefined) return this.withoutFrames();
    const end = earliest.arrivedUs + windowUs;
    if (missing && nowUs < end) {
      this.waitsUntilUs = end;
      return 'wait';
    }
    const { layer } = earliest;
    for (const rank of this.ranks) {
      for (let oldest = oldestOf(rank); oldest?.layer === layer; oldest = oldestOf(rank)) {
        this.serve(rank, oldest);
      }
    }
    return 'serve';
  }

  /** The held frame that stands first. */
  leastHeld(): HeldFrame | undefined {
    let least: HeldFrame | undefined;
    for (const rank of this.ranks) {
      const oldest = oldestOf(rank);
      if (oldest === undefined) continue;
      if (least === undefined || comparePositions(oldest, least) < 0) least = oldest;
    }
    return least;
  }

  private withoutFrames(): GatherDecision {
    for (const rank of this.ranks) if (!rank.closed) return 'idle';
    return 'ended';
  }

  private serve(rank: RankState, oldest: HeldFrame): void {
    this.served[this.servedCount++] = oldest;
    rank.first = (rank.first + 1) % this.options.slotCount;
    rank.heldCount--;
  }

  private hold(rank: RankState, frame: Frame, nowUs: number): boolean {
    for (let index = 0; index < rank.heldCount; index++) {
      const other = rank.held[(rank.first + index) % this.options.slotCount];
      if (other?.microBatch === frame.microBatch) return false;
    }
    const held = rank.held[(rank.first + rank.heldCount) % this.options.slotCount];
    if (held === undefined || rank.heldCount === this.options.slotCount) return false;
    held.sequence = frame.sequence;
    held.tokens = frame.tokens;
    held.rowCount = frame.rowCount;
    held.placementEpoch = frame.placementEpoch;
    held.arrivedUs = nowUs;
    copyPosition(frame, held);
    copyPosition(frame.next, held.next);
    rank.heldCount++;
    return true;
  }

  private rank(index: number): RankState {
    const rank = this.ranks[index];
    if (rank === undefined) throw new RangeError(`There is no attention rank ${index}.`);
    return rank;
  }
}

function oldestOf(rank: RankState): HeldFrame | undefined {
  return rank.heldCount === 0 ? undefined : rank.held[rank.first];
}
