import {
  positionOfLogits,
  type PlannedMicroBatch,
  type SequenceTokens,
} from '../micro-batches/micro-batches.js';
import type { RunningSequence } from '../sequence/running-sequence.js';
import type { Step } from './step.js';

/** A step between its plan and the tokens of its last micro-batch. Its micro-batches get their tokens in order. */
export class StepInFlight {
  readonly step: Step;
  readonly work: readonly SequenceTokens[];
  /** By micro-batch. */
  readonly #planned: readonly PlannedMicroBatch[];
  #completedCount = 0;

  constructor(step: Step, planned: readonly PlannedMicroBatch[], work: readonly SequenceTokens[]) {
    this.step = step;
    this.work = work;
    this.#planned = planned;
  }

  /**
   * The last layer has been attended to, so that nothing of this step reads or writes KV pages any more: true from the
   * first micro-batch on that has its tokens, since all are attended to before the first of them is combined.
   */
  get attended(): boolean {
    return this.#completedCount > 0;
  }

  get ended(): boolean {
    return this.#completedCount === this.step.microBatches.length;
  }

  /** The micro-batch that gets its tokens next. */
  get due(): number {
    return this.#completedCount;
  }

  /** The same, as it was planned; undefined once all have theirs. */
  get duePlanned(): PlannedMicroBatch | undefined {
    return this.#planned[this.due];
  }

  /** The due micro-batch has its tokens. */
  complete(): void {
    this.#completedCount += 1;
  }

  /** What sampled nothing has to be computed again, from the first row that was to be sampled from. */
  abandon(): void {
    if (!this.attended) return;
    for (const { sequence } of this.work) sequence.awaitedIn = undefined;
    for (const { logits, batch } of this.#planned.slice(this.due)) {
      for (const [row, { sequence }] of logits.entries()) {
        const position = positionOfLogits(batch, row);
        sequence.computedTokens = Math.min(sequence.computedTokens, position);
      }
    }
  }

  /**
   * Writes the tokens that were not known when the step was planned. A sequence that has ended since computes one more row, for
   * nobody.
   */
  writeAwaited(microBatch: number): void {
    const tokenIds = this.step.microBatches[microBatch]?.tokenIds;
    if (tokenIds === undefined) throw new RangeError(`The step has no micro-batch ${microBatch}.`);
    const planned = this.#planned[microBatch];
    if (planned?.awaits !== true) return;
    const { logits, batch } = planned;
    for (const [index, { type, sequence }] of logits.entries()) {
      // Whoever's token was known has the same newest token as then.
      if (type === 'sample') tokenIds[batch.logitsRows[index] ?? 0] = sequence.newestToken;
    }
  }

  /**
   * The last layer has been attended to: what was planned is computed, and the tokens of all micro-batches but the first, which has its own, are awaited. Who
   * has full pages to offer now.
   */
  advance(): RunningSequence[] {
    const sharing: RunningSequence[] = [];
    for (const { sequence, tokens } of this.work) {
      sequence.computedTokens += tokens;
      if (sequence.isSharingDue) sharing.push(sequence);
    }
    for (let microBatch = 1; microBatch < this.#planned.length; microBatch += 1) {
      for (const { type, sequence } of this.#planned[microBatch]?.logits ?? []) {
        if (type === 'sample') sequence.awaitedIn = microBatch;
      }
    }
    return sharing;
  }
}
