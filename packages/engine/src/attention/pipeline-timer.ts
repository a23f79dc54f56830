import type { MicroBatch } from '@megascale/core';
import { keysSeenBy, StepCostLearner } from '@megascale/scheduler';
import { eventKind } from '../recorder/flight-recorder.js';
import type { CallObserver } from '../recorder/step-clock.js';

/** Round trips kept of each micro-batch between two readings. */
const awayMax = 256;
/** A shorter wait does not say when the expert outputs arrived. */
const waitedUs = 5;

/** What one micro-batch slot has seen since it was last read. */
class SlotTimes {
  tokens = 0;
  keysSeen = 0;
  attendUs = 0;
  attends = 0;
  sentUs = 0;
  awayCount = 0;
  readonly awayUs = new Float64Array(awayMax);
}

/** What the timer measured in the steps since the last reading. */
export interface AttentionTimes {
  /** Time of one micro-batch at one layer, waiting left out. */
  readonly attentionTimeUs: number;
  /**
   * Time from a dispatch to its expert outputs, of the micro-batch that waits least in queues;
   * undefined where no wait was long enough to tell.
   */
  readonly awayUs: number | undefined;
  /** The part of the time in layers that the worker spent waiting. */
  readonly waitShare: number;
}

/**
 * Learns on an attention worker what the choice of m needs: how long the stage takes by what it is
 * given, and how long micro-batches are away at the experts. It reads no clock: the step clock
 * passes every timed call to it. It allocates nothing per call.
 */
export class PipelineTimer implements CallObserver {
  readonly cost = new StepCostLearner();
  /** By micro-batch. */
  readonly #slots: readonly SlotTimes[];
  #busyUs = 0;
  #waitUs = 0;
  #attends = 0;

  constructor(slotCount: number) {
    this.#slots = Array.from({ length: slotCount }, () => new SlotTimes());
  }

  /** Notes what a micro-batch holds; the caller embeds it next. */
  startMicroBatch({ index, tokenIds, positions }: MicroBatch): void {
    const slot = this.#slots[index];
    if (slot === undefined) return;
    slot.tokens = tokenIds.length;
    slot.keysSeen = 0;
    for (let row = 0; row < positions.length; row += 1) {
      slot.keysSeen += keysSeenBy(positions[row] ?? 0, 1);
    }
  }

  note(kind: number, startUs: number, endUs: number, _: number, microBatch: number): void {
    const slot = this.#slots[microBatch];
    if (slot === undefined) return;
    const us = endUs - startUs;
    switch (kind) {
      case eventKind.attend:
        this.#busyUs += us;
        slot.attendUs += us;
        slot.attends += 1;
        return;
      case eventKind.dispatch:
        this.#busyUs += us;
        slot.sentUs = endUs;
        return;
      case eventKind.wait:
        this.#waitUs += us;
        if (us < waitedUs || slot.awayCount === awayMax) return;
        slot.awayUs[slot.awayCount] = endUs - slot.sentUs;
        slot.awayCount += 1;
        return;
      case eventKind.combine:
        this.#busyUs += us;
        return;
      default:
    }
  }

  /** Learns what each micro-batch of a step took. The caller calls it once per step, after it. */
  endStep(microBatches: readonly MicroBatch[]): void {
    for (const { index } of microBatches) {
      const slot = this.#slots[index];
      if (slot === undefined || slot.attends === 0) continue;
      const { tokens, keysSeen } = slot;
      this.cost.add({ tokens, keysSeen, us: slot.attendUs / slot.attends });
      this.#attends += slot.attends;
      slot.attendUs = 0;
      slot.attends = 0;
    }
  }

  /** Returns what was measured since the last call; undefined when there were no steps. */
  read(): AttentionTimes | undefined {
    if (this.#attends === 0) return undefined;
    const medians = this.#slots.flatMap((slot) => {
      const samples = slot.awayUs.subarray(0, slot.awayCount).slice().sort();
      slot.awayCount = 0;
      return samples[Math.floor(samples.length / 2)] ?? [];
    });
    const attentionTimeUs = this.#busyUs / this.#attends;
    const waitShare = this.#waitUs / (this.#waitUs + this.#busyUs);
    this.#busyUs = 0;
    this.#waitUs = 0;
    this.#attends = 0;
    const awayUs = medians.length === 0 ? undefined : Math.min(...medians);
    return { attentionTimeUs, awayUs, waitShare };
  }
}
