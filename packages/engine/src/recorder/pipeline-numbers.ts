import { BusyTimes, type Interval } from '@megascale/core';
import { eventsOf, type RecordedEvent, type WorkerRecording } from './worker-recording.js';

/**
 * Why a worker waited. 'experts': the experts computed. 'attention': attention workers computed,
 * planned or sampled. 'link': neither did; rows or expert outputs were under way, or a waiting
 * thread had yet to wake. 'idle': no attention worker had a step.
 */
export type BubbleCause = 'experts' | 'attention' | 'link' | 'idle';

export interface WorkerNumbers {
  readonly role: 'attention' | 'expert';
  readonly rank: number;
  /** From its first event to its last. */
  readonly windowUs: number;
  readonly busyUs: number;
  /** The share of `windowUs` that the worker waited, by cause. */
  readonly bubbles: Readonly<Record<BubbleCause, number>>;
}

/**
 * The pipeline of the newest steps, in numbers. Times are medians in microseconds, and absent where
 * nothing was recorded.
 */
export interface PipelineNumbers {
  /** T_a: attend and combine of one micro-batch in one layer. */
  readonly attentionUs?: number;
  /** T_e: one run of an expert worker. */
  readonly expertUs?: number;
  /** T_c: one way, of those micro-batches whose expert outputs were waited for. */
  readonly linkUs?: number;
  /** The share of the attention workers' time in which they waited while no expert computed. */
  readonly exposedCommunication: number;
  /** Busiest worker over the mean of its pool. */
  readonly attentionImbalance: number;
  readonly expertImbalance: number;
  readonly workers: readonly WorkerNumbers[];
}

export function pipelineNumbers(recordings: readonly WorkerRecording[]): PipelineNumbers {
  const workers = recordings.map((worker) => ({ ...worker, events: eventsOf(worker) }));
  const attention = workers.filter(({ role }) => role === 'attention');
  const attentionEvents = attention.flatMap(({ events }) => events);
  const times = {
    experts: new BusyTimes(workers.flatMap(({ events }) => events.filter(isOf('experts')))),
    attention: new BusyTimes(attentionEvents.filter(isAttentionWork)),
    steps: new BusyTimes(attentionEvents.filter(isOf('step'))),
  };
  const numbers = workers.map(({ role, rank, events }) => workerNumbers(role, rank, events, times));
  const ofAttention = numbers.filter(({ role }) => role === 'attention');
  const window = sum(ofAttention.map(({ windowUs }) => windowUs));
  const exposed = sum(ofAttention.map(({ bubbles, windowUs }) => bubbles.link * windowUs));
  return {
    ...optional('attentionUs', median(attention.flatMap(({ events }) => halfLayerTimes(events)))),
    ...optional('expertUs', median(expertTimes(workers.flatMap(({ events }) => events)))),
    ...optional(
      'linkUs',
      median(attention.flatMap(({ events }) => linkTimes(events, times.experts))),
    ),
    exposedCommunication: window > 0 ? exposed / window : 0,
    attentionImbalance: imbalance(ofAttention),
    expertImbalance: imbalance(numbers.filter(({ role }) => role === 'expert')),
    workers: numbers,
  };
}

interface PoolTimes {
  readonly experts: BusyTimes;
  readonly attention: BusyTimes;
  readonly steps: BusyTimes;
}

function workerNumbers(
  role: 'attention' | 'expert',
  rank: number,
  events: readonly RecordedEvent[],
  times: PoolTimes,
): WorkerNumbers {
  const startUs = events.reduce((least, event) => Math.min(least, event.startUs), Infinity);
  const endUs = events.reduce((most, event) => Math.max(most, event.endUs), -Infinity);
  const windowUs = Math.max(0, endUs - startUs);
  const bubbles = { experts: 0, attention: 0, link: 0, idle: 0 };
  for (const event of events.filter(isOf('wait'))) addBubble(bubbles, role, event, times);
  const busy = new BusyTimes(events.filter(({ kind }) => kind !== 'wait' && kind !== 'step'));
  const share = (us: number): number => (windowUs > 0 ? us / windowUs : 0);
  return {
    role,
    rank,
    windowUs,
    busyUs: windowUs > 0 ? busy.within({ startUs, endUs }) : 0,
    bubbles: {
      experts: share(bubbles.experts),
      attention: share(bubbles.attention),
      link: share(bubbles.link),
      idle: share(bubbles.idle),
    },
  };
}

function addBubble(
  bubbles: Record<BubbleCause, number>,
  role: 'attention' | 'expert',
  wait: RecordedEvent,
  { experts, attention, steps }: PoolTimes,
): void {
  const lasted = wait.endUs - wait.startUs;
  if (role === 'attention') {
    const computing = Math.min(lasted, experts.within(wait));
    bubbles.experts += computing;
    bubbles.link += lasted - computing;
    return;
  }
  const inSteps = Math.min(lasted, steps.within(wait));
  const computing = Math.min(inSteps, attention.within(wait));
  bubbles.idle += lasted - inSteps;
  bubbles.attention += computing;
  bubbles.link += inSteps - computing;
}

const attentionWork = new Set([
  'plan',
  'embed',
  'attend',
  'combine',
  'logits',
  'sample',
  'dispatch',
]);

function isAttentionWork({ kind }: RecordedEvent): boolean {
  return attentionWork.has(kind);
}

function isOf(kind: RecordedEvent['kind']): (event: RecordedEvent) => boolean {
  return (event) => event.kind === kind;
}

/** Attend of a layer and the combine of the same layer and micro-batch that follows it. */
function halfLayerTimes(events: readonly RecordedEvent[]): number[] {
  const attends = new Map<string, number>();
  const times: number[] = [];
  for (const event of events) {
    const key = `${String(event.layer)} ${String(event.microBatch)}`;
    const lasted = event.endUs - event.startUs;
    if (event.kind === 'attend') attends.set(key, lasted);
    const attend = event.kind === 'combine' ? attends.get(key) : undefined;
    if (attend === undefined) continue;
    times.push(attend + lasted);
    attends.delete(key);
  }
  return times;
}

function expertTimes(events: readonly RecordedEvent[]): number[] {
  return events.filter(isOf('experts')).map(({ startUs, endUs }) => endUs - startUs);
}

/**
 * Returns half of each round trip without the computing of the experts, where the worker waited for
 * it.
 */
function linkTimes(events: readonly RecordedEvent[], experts: BusyTimes): number[] {
  const sent = new Map<string, number>();
  const times: number[] = [];
  for (const { kind, layer, microBatch, startUs, endUs } of events) {
    const key = `${String(layer)} ${String(microBatch)}`;
    if (kind === 'dispatch') sent.set(key, endUs);
    const from = kind === 'wait' ? sent.get(key) : undefined;
    if (from === undefined || endUs - startUs < waitedUs) continue;
    const trip: Interval = { startUs: from, endUs };
    times.push(Math.max(0, endUs - from - experts.within(trip)) / 2);
    sent.delete(key);
  }
  return times;
}

/** A shorter wait found the expert outputs there. */
const waitedUs = 5;

function imbalance(workers: readonly WorkerNumbers[]): number {
  const busy = workers.map(({ busyUs }) => busyUs);
  const mean = sum(busy) / Math.max(1, busy.length);
  return mean > 0 ? Math.max(...busy) / mean : 1;
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function optional<Name extends string>(
  name: Name,
  value: number | undefined,
): Partial<Record<Name, number>> {
  return value === undefined ? {} : ({ [name]: value } as Record<Name, number>);
}
