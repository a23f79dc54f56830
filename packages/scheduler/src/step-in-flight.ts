import type { PlannedMicroBatch, PlannedRow, SequenceTokens } from './micro-batches.js';
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

  /** [logitsRows] of the due micro-batch. */
  get dueRows(): readonly PlannedRow[] {
    return this.#planned[this.due]?.logits ?? [];
  }

  /** The due micro-batch has its tokens. */
  complete(): void {
    if (this.attended) {
      for (const { type, sequence } of this.dueRows) {
        if (type === 'sample') sequence.awaitedIn = undefined;
      }
    } else this.#advance();
    this.#completedCount += 1;
  }

  /** What sampled nothing has to be computed again, from the first row that was to be sampled from. */
  abandon(): void {
    if (!this.attended) return;
    for (const { sequence } of this.work) sequence.awaitedIn = undefined;
    for (const { logits } of this.#planned.slice(this.due)) {
      for (const { sequence, position } of logits) {
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
    for (const { row, sequence } of this.#planned[microBatch]?.awaited ?? []) {
      tokenIds[row] = sequence.newestToken;
    }
  }

  #advance(): void {
    for (const { sequence, tokens } of this.work) sequence.computedTokens += tokens;
    // Those of the first one have theirs.
    for (let microBatch = 1; microBatch < this.#planned.length; microBatch += 1) {
      for (const { type, sequence } of this.#planned[microBatch]?.logits ?? []) {
        if (type === 'sample') sequence.awaitedIn = microBatch;
      }
    }
  }
}
