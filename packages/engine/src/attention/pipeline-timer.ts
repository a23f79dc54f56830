import type {
  AttentionPort,
  AttentionSlot,
  AttentionStage,
  Clock,
  DispatchTicket,
  LayerIndex,
  MicroBatch,
  MicroBatchIndex,
  PlacementEpoch,
  StageProfiler,
} from '@megascale/core';
import { keysSeenBy, StepCostLearner } from '@megascale/scheduler';

/** Samples kept of each micro-batch between two readings. */
const awayMax = 256;
/** A shorter wait does not say when the answer came. */
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

/** Of the steps since the last reading. */
export interface AttentionTimes {
  /** Of one micro-batch at one layer, everything but waiting. */
  readonly attentionTimeUs: number;
  /** From a dispatch to its answers, of the micro-batch that waits least in queues; undefined where no wait was long enough to tell. */
  readonly awayUs: number | undefined;
  /** Part of the time in layers that was spent waiting. */
  readonly waitShare: number;
}

/**
 * Measures on an attention worker what the pipeline's law needs: how long the stage takes by what it is given, and how long micro-batches are away
 * at the experts. Stands around the stage and the port, reads the clock twice per call and allocates nothing in them.
 */
export class PipelineTimer {
  readonly cost = new StepCostLearner();
  readonly stage: AttentionStage;
  readonly port: AttentionPort;
  readonly #slots: readonly SlotTimes[];
  #busyUs = 0;
  #waitUs = 0;
  #halves = 0;

  constructor(stage: AttentionStage, port: AttentionPort, clock: Clock) {
    const slots = port.slots.map(() => new SlotTimes());
    this.#slots = slots;
    const busy = (us: number): void => {
      this.#busyUs += us;
    };
    this.stage = new TimedStage(stage, { clock, slots, busy });
    const wait = (us: number): void => {
      this.#waitUs += us;
    };
    this.port = new TimedPort(port, { clock, slots, busy }, wait);
  }

  /** Once per step, for each of its micro-batches: what it took is learnt. */
  endStep(microBatches: readonly MicroBatch[]): void {
    for (const { index } of microBatches) {
      const slot = this.#slots[index];
      if (slot === undefined || slot.attends === 0) continue;
      const { tokens, keysSeen } = slot;
      this.cost.add({ tokens, keysSeen, us: slot.attendUs / slot.attends });
      this.#halves += slot.attends;
      slot.attendUs = 0;
      slot.attends = 0;
    }
  }

  /** Since the last call; undefined when there were no steps. */
  read(): AttentionTimes | undefined {
    if (this.#halves === 0) return undefined;
    const medians = this.#slots.flatMap((slot) => {
      const samples = slot.awayUs.subarray(0, slot.awayCount).slice().sort();
      slot.awayCount = 0;
      return samples[Math.floor(samples.length / 2)] ?? [];
    });
    const attentionTimeUs = this.#busyUs / this.#halves;
    const waitShare = this.#waitUs / (this.#waitUs + this.#busyUs);
    this.#busyUs = 0;
    this.#waitUs = 0;
    this.#halves = 0;
    const awayUs = medians.length === 0 ? undefined : Math.min(...medians);
    return { attentionTimeUs, awayUs, waitShare };
  }
}

interface Notes {
  readonly clock: Clock;
  readonly slots: readonly SlotTimes[];
  readonly busy: (us: number) => void;
}

class TimedStage implements AttentionStage {
  readonly profiler?: StageProfiler;
  readonly #stage: AttentionStage;
  readonly #notes: Notes;

  constructor(stage: AttentionStage, notes: Notes) {
    this.#stage = stage;
    this.#notes = notes;
    if (stage.profiler !== undefined) this.profiler = stage.profiler;
  }

  bindSlots(slots: readonly AttentionSlot[]): void {
    this.#stage.bindSlots(slots);
  }

  embed(batch: MicroBatch): void {
    this.#stage.embed(batch);
    const slot = this.#notes.slots[batch.index];
    if (slot === undefined) return;
    slot.tokens = batch.tokenIds.length;
    slot.keysSeen = 0;
    const { positions } = batch;
    for (let row = 0; row < positions.length; row += 1) {
      slot.keysSeen += keysSeenBy(positions[row] ?? 0, 1);
    }
  }

  attend(layer: LayerIndex, microBatch: MicroBatchIndex): void {
    const { clock, slots, busy } = this.#notes;
    const before = clock.nowUs();
    this.#stage.attend(layer, microBatch);
    const us = clock.nowUs() - before;
    busy(us);
    const slot = slots[microBatch];
    if (slot === undefined) return;
    slot.attendUs += us;
    slot.attends += 1;
  }

  combine(layer: LayerIndex, microBatch: MicroBatchIndex): void {
    const { clock, busy } = this.#notes;
    const before = clock.nowUs();
    this.#stage.combine(layer, microBatch);
    busy(clock.nowUs() - before);
  }

  logits(microBatch: MicroBatchIndex): Float32Array {
    return this.#stage.logits(microBatch);
  }

  close(): void {
    this.#stage.close();
  }
}

class TimedPort implements AttentionPort {
  readonly slots: readonly AttentionSlot[];
  readonly #port: AttentionPort;
  readonly #notes: Notes;

  readonly #wait: (us: number) => void;

  constructor(port: AttentionPort, notes: Notes, wait: (us: number) => void) {
    this.slots = port.slots;
    this.#port = port;
    this.#notes = notes;
    this.#wait = wait;
  }

  beginStep(microBatches: readonly MicroBatchIndex[]): void {
    this.#port.beginStep(microBatches);
  }

  adoptPlacement(placement: PlacementEpoch): void {
    this.#port.adoptPlacement(placement);
  }

  dispatch(layer: LayerIndex, microBatch: MicroBatchIndex, tokens: number): DispatchTicket {
    const { clock, slots, busy } = this.#notes;
    const before = clock.nowUs();
    const ticket = this.#port.dispatch(layer, microBatch, tokens);
    const after = clock.nowUs();
    busy(after - before);
    const slot = slots[microBatch];
    if (slot !== undefined) slot.sentUs = after;
    return ticket;
  }

  combine(ticket: DispatchTicket): void {
    const { clock, slots } = this.#notes;
    const slot = slots[ticket.microBatch];
    const before = clock.nowUs();
    this.#port.combine(ticket);
    const after = clock.nowUs();
    this.#wait(after - before);
    if (slot === undefined || after - before < waitedUs || slot.awayCount === awayMax) return;
    slot.awayUs[slot.awayCount] = after - slot.sentUs;
    slot.awayCount += 1;
  }

  release(ticket: DispatchTicket): void {
    this.#port.release(ticket);
  }

  park(): void {
    this.#port.park();
  }

  close(): void {
    this.#port.close();
  }
}
