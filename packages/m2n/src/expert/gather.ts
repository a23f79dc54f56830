import {
  comparePositions,
  Gather as GatherRules,
  type GatherDecision as RulesDecision,
  type GatherPolicy,
  type GatherSource,
} from '@megascale/core';
import { copyPosition, createFrame, type Frame, type Position } from '../protocol/frame.js';

/** A frame with rows that waits to be served. */
export interface HeldFrame extends Frame {
  readonly attentionRank: number;
  arrivedUs: number;
}

/**
 * As the rules of `@megascale/core` decide; 'ended': no frame is held and every rank has closed.
 */
export type GatherDecision = RulesDecision | 'ended';

/**
 * The frames that an expert rank holds. It takes copies of frames as they come, refuses those that
 * break their rank's order, and asks the gather rules of `@megascale/core` which frames the expert
 * rank computes together; the proof that this cannot deadlock stands there. It knows no memory and
 * no clock.
 */
export class Gather {
  /** Greatest step of any frame so far. */
  stepSeen = 0;
  readonly #ranks: readonly HeldFrames[];
  readonly #rules: GatherRules<HeldFrame>;

  constructor(options: {
    readonly attentionWorkerCount: number;
    readonly slotCount: number;
    readonly policy: GatherPolicy;
  }) {
    const { attentionWorkerCount, slotCount, policy } = options;
    this.#ranks = Array.from(
      { length: attentionWorkerCount },
      (_, attentionRank) => new HeldFrames(attentionRank, slotCount),
    );
    this.#rules = new GatherRules(policy, this.#ranks);
  }

  /**
   * [attention ranks × slotCount] the first `servedCount` are the frames to serve now, by attention
   * rank, then micro-batch. `arrive` reuses the entries.
   */
  get served(): readonly HeldFrame[] {
    return this.#rules.served;
  }

  get servedCount(): number {
    return this.#rules.servedCount;
  }

  /** −1, as on the wire, where it waits for no rank. */
  get waitsForRank(): number {
    return this.#rules.waitsForRank ?? -1;
  }

  get waitsUntilUs(): number {
    return this.#rules.waitsUntilUs;
  }

  /**
   * Takes a copy of `frame`. False when the rank breaks its order or sends more than its slots
   * hold.
   */
  arrive(attentionRank: number, frame: Frame, nowUs: number): boolean {
    const rank = this.#rank(attentionRank);
    if (!rank.arrive(frame, nowUs)) return false;
    if (!rank.closed && frame.type === 'rows' && frame.step > this.stepSeen) {
      this.stepSeen = frame.step;
    }
    return true;
  }

  /** The rank's end: it is not waited for, and what it sent is not served. */
  close(attentionRank: number): void {
    this.#rank(attentionRank).close();
  }

  /** Frames of the rank so far, those without rows included. */
  arrivalsOf(attentionRank: number): number {
    return this.#rank(attentionRank).arrivals;
  }

  decide(nowUs: number): GatherDecision {
    const decision = this.#rules.decide(nowUs);
    if (decision !== 'idle') return decision;
    for (const rank of this.#ranks) if (!rank.closed) return 'idle';
    return 'ended';
  }

  /** The held frame that stands first. */
  leastHeld(): HeldFrame | undefined {
    return this.#rules.leastHeld();
  }

  #rank(index: number): HeldFrames {
    const rank = this.#ranks[index];
    if (rank === undefined) throw new RangeError(`There is no attention rank ${index}.`);
    return rank;
  }
}

/** The frames of one attention rank, in a ring whose entries are reused. */
class HeldFrames implements GatherSource<HeldFrame> {
  active = false;
  closed = false;
  step = 0;
  readonly next: Position = { step: 0, layer: 0, microBatch: 0 };
  arrivals = 0;
  /** [slotCount]; the oldest frame is at `#first`. */
  readonly #held: readonly HeldFrame[];
  #first = 0;
  #count = 0;

  constructor(attentionRank: number, slotCount: number) {
    this.#held = Array.from({ length: slotCount }, () => ({
      ...createFrame(),
      attentionRank,
      arrivedUs: 0,
    }));
  }

  get oldest(): HeldFrame | undefined {
    return this.#count === 0 ? undefined : this.#held[this.#first];
  }

  dropOldest(): void {
    this.#first = (this.#first + 1) % this.#held.length;
    this.#count -= 1;
  }

  close(): void {
    this.closed = true;
    this.active = false;
    this.#count = 0;
  }

  /** False when the rank breaks its order or sends more than its slots hold. */
  arrive(frame: Frame, nowUs: number): boolean {
    if (this.closed) return true;
    if (frame.type === 'park') {
      this.active = false;
      return true;
    }
    if (comparePositions(frame, this.next) < 0) return false;
    if (comparePositions(frame.next, frame) <= 0) return false;
    this.active = true;
    this.arrivals += 1;
    this.step = frame.step;
    copyPosition(frame.next, this.next);
    return frame.rowCount === 0 || this.#hold(frame, nowUs);
  }

  #hold(frame: Frame, nowUs: number): boolean {
    const slotCount = this.#held.length;
    for (let index = 0; index < this.#count; index += 1) {
      const other = this.#held[(this.#first + index) % slotCount];
      if (other?.microBatch === frame.microBatch) return false;
    }
    const held = this.#held[(this.#first + this.#count) % slotCount];
    if (held === undefined || this.#count === slotCount) return false;
    held.sequence = frame.sequence;
    held.tokens = frame.tokens;
    held.rowCount = frame.rowCount;
    held.placementEpoch = frame.placementEpoch;
    held.arrivedUs = nowUs;
    copyPosition(frame, held);
    copyPosition(frame.next, held.next);
    this.#count += 1;
    return true;
  }
}
