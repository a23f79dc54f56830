import {
  TransportError,
  type AttentionPort,
  type DispatchTicket,
  type ExpertInput,
  type ExpertPort,
  type LayerIndex,
  type MicroBatchIndex,
  type PlacementEpoch,
  type TransportOptions,
} from '@megascale/core';
import { stopped } from '../peers/peer-errors.js';

/** How often a stalled rank asks whether it is to stop. */
const stallSliceMs = 20;

export interface RankFault {
  readonly type: 'stall' | 'loss';
  readonly message: number;
  readonly ms?: number;
}

export interface FaultyPortParts {
  /** 'expert rank 1' */
  readonly name: string;
  readonly options: TransportOptions;
  readonly faults: readonly RankFault[];
  readonly sleep: (ms: number) => void;
}

/** Counts a rank's messages and lets its faults happen. */
class RankFaults {
  isLost = false;
  #messages = 0;

  readonly #parts: FaultyPortParts;

  constructor(parts: FaultyPortParts) {
    this.#parts = parts;
  }

  /** Call before each message. */
  beforeMessage(): void {
    for (const fault of this.#parts.faults) {
      if (fault.message !== this.#messages) continue;
      if (fault.type === 'loss') this.isLost = true;
      else this.#stall(fault.ms ?? Infinity);
    }
    this.#messages++;
    this.mustBeThere();
  }

  mustBeThere(): void {
    if (!this.isLost) return;
    throw new TransportError('ERR_PEER_CLOSED', {
      message: `The port of ${this.#parts.name} has vanished, as its plan of faults says.`,
    });
  }

  #stall(ms: number): void {
    const { sleep, options } = this.#parts;
    const { clock, stopReason } = options;
    const untilUs = clock.nowUs() + ms * 1000;
    while (clock.nowUs() < untilUs) {
      sleep(Math.min(stallSliceMs, (untilUs - clock.nowUs()) / 1000));
      const reason = stopReason();
      if (reason !== undefined) throw stopped(this.#parts.name, reason);
    }
  }
}

export class FaultyAttentionPort implements AttentionPort {
  readonly #faults: RankFaults;

  readonly #port: AttentionPort;

  constructor(port: AttentionPort, parts: FaultyPortParts) {
    this.#port = port;
    this.#faults = new RankFaults(parts);
  }

  get slots() {
    return this.#port.slots;
  }

  beginStep(microBatches: readonly MicroBatchIndex[]): void {
    this.#faults.mustBeThere();
    this.#port.beginStep(microBatches);
  }

  adoptPlacement(placement: PlacementEpoch): void {
    this.#faults.mustBeThere();
    this.#port.adoptPlacement(placement);
  }

  dispatch(layer: LayerIndex, microBatch: MicroBatchIndex, tokens: number): DispatchTicket {
    this.#faults.beforeMessage();
    return this.#port.dispatch(layer, microBatch, tokens);
  }

  combine(ticket: DispatchTicket): void {
    this.#faults.mustBeThere();
    this.#port.combine(ticket);
  }

  release(ticket: DispatchTicket): void {
    this.#faults.mustBeThere();
    this.#port.release(ticket);
  }

  park(): void {
    this.#faults.mustBeThere();
    this.#port.park();
  }

  close(): void {
    if (!this.#faults.isLost) this.#port.close();
  }
}

export class FaultyExpertPort implements ExpertPort {
  readonly #faults: RankFaults;

  readonly #port: ExpertPort;

  constructor(port: ExpertPort, parts: FaultyPortParts) {
    this.#port = port;
    this.#faults = new RankFaults(parts);
  }

  get slots() {
    return this.#port.slots;
  }

  receive(): ExpertInput | undefined {
    this.#faults.mustBeThere();
    return this.#port.receive();
  }

  reply(input: ExpertInput): void {
    this.#faults.beforeMessage();
    this.#port.reply(input);
  }

  learnPlacement(placement: PlacementEpoch): void {
    this.#faults.mustBeThere();
    this.#port.learnPlacement(placement);
  }

  retirePlacements(upTo: number): void {
    this.#faults.mustBeThere();
    this.#port.retirePlacements(upTo);
  }

  close(): void {
    if (!this.#faults.isLost) this.#port.close();
  }
}
