import { BenchError } from '../bench-error.js';
import type { TrafficPlan } from './traffic.js';

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** What one run of one contender gave. */
export interface M2nFigures {
  /** From the first store into a message until its receiver has read the last byte. One way. */
  readonly latencyUs: Percentiles;
  /** From the last store until the receiver may read. */
  readonly dispatchUs: Percentiles;
  /** Rows there, answers of the same size back, both written and read: of all receivers. */
  readonly roundTripUs?: Percentiles;
  /** Rows of all senders over the time, several messages in flight. */
  readonly gigabytesPerSecond: number;
  /** Rows and answers together. Absent when only one direction was asked for. */
  readonly bothDirectionsGigabytesPerSecond?: number;
  /**
   * JavaScript heap that a message takes of the sender's process and of the receiver's, the
   * greater.
   */
  readonly heapBytesPerMessage?: number;
}

/** The times of one run, in microseconds of the machine's monotonic clock. */
export interface RunSamples {
  /**
   * [senders] of, phase by phase, [messages][each receiver's rows begun …, all written, answered]
   */
  readonly senders: readonly Float64Array[];
  /** [receivers] of, phase by phase, [messages][senders][may read, has read] */
  readonly receivers: readonly Float64Array[];
  readonly heapBytesPerMessage: number;
}

export function senderStamps({ receivers }: TrafficPlan): number {
  return receivers + 2;
}

const receiverStamps = 2;

export function figuresOf(plan: TrafficPlan, samples: RunSamples): M2nFigures {
  checkLengths(plan, samples);
  const latency: number[] = [];
  const dispatch: number[] = [];
  const trips: number[] = [];
  forEachMessage(plan, samples, 0, ({ first, began, written, answered, mayRead, hasRead }) => {
    latency.push(hasRead - began);
    dispatch.push(mayRead - written);
    trips.push(answered - first);
  });
  const { heapBytesPerMessage } = samples;
  return {
    latencyUs: percentilesOf(latency),
    dispatchUs: percentilesOf(dispatch),
    roundTripUs: percentilesOf(trips),
    gigabytesPerSecond: rateOf(plan, samples, 1),
    ...(plan.phases[2].messages === 0
      ? {}
      : { bothDirectionsGigabytesPerSecond: 2 * rateOf(plan, samples, 2) }),
    heapBytesPerMessage,
  };
}

/** Nearest rank, as `percentile`, sorted once. */
export function percentilesOf(samples: readonly number[]): Percentiles {
  const sorted = Float64Array.from(samples).sort();
  const at = (percent: number): number => {
    const value = sorted[Math.max(1, Math.ceil((percent / 100) * sorted.length)) - 1];
    if (value === undefined) throw new RangeError('A percentile needs at least one sample.');
    return value;
  };
  return { p50: at(50), p99: at(99), p999: at(99.9) };
}

interface Message {
  /** Store of the whole dispatch. */
  readonly first: number;
  /** Store for this receiver. */
  readonly began: number;
  readonly written: number;
  readonly answered: number;
  readonly mayRead: number;
  readonly hasRead: number;
}

/** Each message of each pair that is counted. */
function forEachMessage(
  plan: TrafficPlan,
  { senders, receivers }: RunSamples,
  phase: number,
  visit: (message: Message) => void,
): void {
  const before = messagesBefore(plan, phase);
  const { messages } = plan.phases[phase] ?? { messages: 0 };
  const stride = senderStamps(plan);
  for (const [sender, sent] of senders.entries()) {
    for (const [receiver, received] of receivers.entries()) {
      for (let message = before + warmUp(messages); message < before + messages; message++) {
        const from = message * stride;
        const to = (message * senders.length + sender) * receiverStamps;
        visit({
          first: sent[from] ?? NaN,
          began: sent[from + receiver] ?? NaN,
          written: sent[from + stride - 2] ?? NaN,
          answered: sent[from + stride - 1] ?? NaN,
          mayRead: received[to] ?? NaN,
          hasRead: received[to + 1] ?? NaN,
        });
      }
    }
  }
}

/**
 * Gigabytes per second in one direction, from the first counted store to the last byte read on
 * either side.
 */
function rateOf(plan: TrafficPlan, samples: RunSamples, phase: number): number {
  const { messages = 0, answers = false } = plan.phases[phase] ?? {};
  let first = Infinity;
  let last = -Infinity;
  forEachMessage(plan, samples, phase, ({ first: began, hasRead, answered }) => {
    first = Math.min(first, began);
    last = Math.max(last, hasRead, answers ? answered : hasRead);
  });
  const bytes = plan.senders * plan.sizes.reduce((a, b) => a + b, 0);
  return ((messages - warmUp(messages)) * bytes) / (last - first) / 1000;
}

function messagesBefore(plan: TrafficPlan, phase: number): number {
  return plan.phases.slice(0, phase).reduce((sum, { messages }) => sum + messages, 0);
}

function warmUp(messages: number): number {
  return Math.floor(messages / 5);
}

function checkLengths(plan: TrafficPlan, { senders, receivers }: RunSamples): void {
  const messages = messagesBefore(plan, plan.phases.length);
  const right =
    senders.length === plan.senders &&
    receivers.length === plan.receivers &&
    senders.every(({ length }) => length === messages * senderStamps(plan)) &&
    receivers.every(({ length }) => length === messages * plan.senders * receiverStamps);
  if (!right) throw new BenchError('A measurement ended without all of its times.');
}
