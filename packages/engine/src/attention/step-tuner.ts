import type { MicroBatch, StepCost } from '@megascale/core';
import { MicroBatchTuner, type Batcher, type Step } from '@megascale/scheduler';
import type { AttentionTimes, PipelineTimer } from './pipeline-timer.js';

/** Steps between two readings of what was measured. */
const windowSteps = 16;
/** A pipeline whose slower stage works this part of the time is full. */
const fullShare = 0.9;

/**
 * What an expert worker measured: the mean of its runs, and the part of it that does not depend on
 * the rows.
 */
export interface ExpertTimes {
  readonly rank: number;
  readonly runUs: number;
  readonly fixedUs: number;
}

/**
 * Tunes the micro-batches of the batcher by what the timer measured: they take equally long and,
 * where m is to be chosen, there are as many as the measured T_a, T_e and T_c ask for. T_c is one
 * way of the time that micro-batches are away beyond T_e.
 */
export class StepTuner {
  readonly #batcher: Batcher;
  readonly #timer: PipelineTimer;
  readonly #tuner: MicroBatchTuner | undefined;
  readonly #experts = new Map<number, ExpertTimes>();
  #transferTimeUs: number | undefined;
  #steps = 0;
  #stepsOfCount = 0;

  /** With `choose` the tuner chooses m, from 1 to the number of slots; without, m stays. */
  constructor(parts: {
    readonly batcher: Batcher;
    readonly timer: PipelineTimer;
    readonly choose: boolean;
  }) {
    this.#batcher = parts.batcher;
    this.#timer = parts.timer;
    if (!parts.choose) return;
    const max = parts.batcher.pace.microBatchCount;
    this.#tuner = new MicroBatchTuner({ first: 3, max });
    this.#setPace();
  }

  get microBatchCount(): number {
    return this.#batcher.pace.microBatchCount;
  }

  /**
   * What the attention stage takes for one micro-batch in one layer; undefined until enough was
   * measured.
   */
  get attentionCost(): StepCost | undefined {
    return this.#timer.cost.cost;
  }

  receive(times: ExpertTimes): void {
    this.#experts.set(times.rank, times);
  }

  /** Notes what a micro-batch holds; the caller embeds it next. */
  startMicroBatch(batch: MicroBatch): void {
    this.#timer.startMicroBatch(batch);
  }

  endStep({ microBatches }: Step): void {
    this.#timer.endStep(microBatches);
    this.#steps += 1;
    if (microBatches.length === this.microBatchCount) this.#stepsOfCount += 1;
    if (this.#steps < windowSteps) return;
    // Steps of fewer sequences than m say nothing about m.
    if (this.#stepsOfCount === this.#steps) this.#tune();
    else this.#timer.read();
    this.#setPace();
    this.#steps = 0;
    this.#stepsOfCount = 0;
  }

  #tune(): void {
    const read = this.#timer.read();
    const slowest = [...this.#experts.values()].sort((a, b) => b.runUs - a.runUs)[0];
    if (read === undefined || slowest === undefined || this.#tuner === undefined) return;
    const { attentionTimeUs } = read;
    const expertTimeUs = slowest.runUs;
    this.#noteTransfer(read, expertTimeUs);
    this.#tuner.observe({
      microBatchCount: this.microBatchCount,
      times: { attentionTimeUs, expertTimeUs, transferTimeUs: this.#transferTimeUs ?? 0 },
      attentionFixedUs: this.#timer.cost.cost?.fixedUs ?? 0,
      expertFixedUs: slowest.fixedUs,
    });
  }

  /**
   * Learns T_c. In a full pipeline micro-batches queue, and the time away is only an upper bound of
   * what the link takes.
   */
  #noteTransfer(
    { attentionTimeUs, awayUs, waitShare }: AttentionTimes,
    expertTimeUs: number,
  ): void {
    if (awayUs === undefined) return;
    const most = Math.max(0, awayUs - expertTimeUs) / 2;
    const count = this.microBatchCount;
    const periodUs = (count * attentionTimeUs) / Math.max(1e-3, 1 - waitShare);
    const full = count * Math.max(attentionTimeUs, expertTimeUs) >= fullShare * periodUs;
    const hidden = Math.max(0, periodUs - attentionTimeUs - expertTimeUs) / 2;
    this.#transferTimeUs = full ? Math.min(this.#transferTimeUs ?? Infinity, most, hidden) : most;
  }

  #setPace(): void {
    const microBatchCount = this.#tuner?.microBatchCount ?? this.microBatchCount;
    const { cost } = this.#timer.cost;
    this.#batcher.setPace({
      microBatchCount,
      ...(cost === undefined ? {} : { attentionCost: cost }),
    });
  }
}
