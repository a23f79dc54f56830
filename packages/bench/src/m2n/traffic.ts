import type { EmulatedLink } from '@megascale/core';
import { BenchError } from '../bench-error.js';

/** One workload of a transport: what is sent, by whom, to whom. */
export interface Traffic {
  /** 'shm', 'tcp', … */
  readonly transport: string;
  /** Attention ranks. */
  readonly senders: number;
  /** Expert ranks. */
  readonly receivers: number;
  /** Of one sender to one receiver, balanced. A multiple of 64 (of 256 when skewed). */
  readonly bytes: number;
  /** One hot expert: its rank takes what the others leave, and those get a quarter of `bytes`. */
  readonly skew?: boolean;
  /** Messages of one sender in flight while throughput is measured. Default 4. */
  readonly slots?: number;
  /** Also measures with answers as large as the rows. Default true. */
  readonly bothDirections?: boolean;
  /** How long a wait spins before it sleeps. Default: as long as it takes. */
  readonly spinUs?: number;
  /** Lets the transport's link look slower. */
  readonly emulatedLink?: EmulatedLink;
  /** A longer measurement, or a shorter one: all message counts times this. Default 1. */
  readonly effort?: number;
}

export const defaultSlots = 4;
/** Layers of a step: as many dispatches of a micro-batch follow one `beginStep`. */
export const layersPerStep = 8;

const rowBytesMax = 8192;
const rowBytesMin = 64;
const ranksMax = 8;
const bytesMax = 2 ** 28;

/** A stretch of messages of one kind. */
export interface Phase {
  /** Of each sender. The first fifth warms up and is not counted. */
  readonly messages: number;
  /** In flight. */
  readonly window: number;
  /** Answers are as large as the rows; else they carry nothing. */
  readonly answers: boolean;
}

/** What every process of a measurement is told. */
export interface TrafficPlan {
  readonly senders: number;
  readonly receivers: number;
  /** Slots of the largest phase. */
  readonly slots: number;
  /** Of one row, all of which go to one expert. */
  readonly rowBytes: number;
  /** [receivers] that one sender sends to each in one message. */
  readonly sizes: readonly number[];
  /** One message at a time; several, answered with nothing; several, answered with as much. */
  readonly phases: readonly [alone: Phase, oneDirection: Phase, bothDirections: Phase];
  /** More processes than cores: who waits lets others have the core. */
  readonly yields: boolean;
}

/** @throws BenchError for what cannot be sent. */
export function planOf(traffic: Traffic, cores: number): TrafficPlan {
  const { senders, receivers, bytes, skew = false, slots = defaultSlots } = traffic;
  const { bothDirections = true, effort = 1 } = traffic;
  checkWhole('senders', senders, 1, ranksMax);
  checkWhole('receivers', receivers, 1, ranksMax);
  checkWhole('slots', slots, 1, 64);
  checkWhole('bytes', bytes, rowBytesMin, bytesMax);
  const cold = skew && receivers > 1 ? bytes / 4 : bytes;
  const rowBytes = Math.min(rowBytesMax, cold & -cold);
  if (!Number.isInteger(cold) || rowBytes < rowBytesMin) {
    const unit = cold === bytes ? rowBytesMin : 4 * rowBytesMin;
    throw new BenchError(`bytes is ${bytes}; it must be a multiple of ${unit}.`, { bytes });
  }
  const hot = bytes * receivers - cold * (receivers - 1);
  const sizes = Array.from({ length: receivers }, (_, rank) => (rank === 0 ? hot : cold));
  const share = effort / Math.max(senders, receivers);
  const one = messageCount(Math.min(2e8 / bytes, 8000) * share, 1);
  const many = messageCount(Math.min(1e9 / bytes, 30_000) * share, slots);
  return {
    senders,
    receivers,
    slots,
    rowBytes,
    sizes,
    phases: [
      { messages: one, window: 1, answers: true },
      { messages: many, window: slots, answers: false },
      { messages: bothDirections ? many : 0, window: slots, answers: true },
    ],
    yields: senders + receivers > cores,
  };
}

/** Whole steps: `window` micro-batches, each as often as there are layers. */
function messageCount(wanted: number, window: number): number {
  const step = window * layersPerStep;
  return Math.ceil(Math.max(64, wanted) / step) * step;
}

function checkWhole(field: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new BenchError(`${field} is ${value}; it must be a whole number from ${min} to ${max}.`, {
    field,
    value,
  });
}
