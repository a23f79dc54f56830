import type { StepOrders, StepShape } from '@megascale/scheduler';
import type { EventHeap } from '../event-heap.js';
import type { SimulatedInstance } from '../simulated-instance.js';
import type { Links } from './links.js';
import type { Timeline } from './timeline.js';

/** One step of one attention worker, by micro-batch index. */
export interface SimulatedStep extends StepShape {
  readonly tokens: readonly number[];
  /** As in `AttentionWork`. */
  readonly keysSeen: readonly number[];
  readonly keysRead: readonly number[];
  /** Rows to sample from. */
  readonly outputRows: readonly number[];
}

/** What an attention worker asks and tells; all at the simulated time given. */
export interface StepSource<Step extends SimulatedStep = SimulatedStep> {
  /**
   * The step to go on with; undefined parks the worker until `wake`, or, before the last
   * micro-batch's end, asks again then.
   */
  next(nowUs: number): Step | undefined;
  startMicroBatch?(step: Step, microBatch: number): void;
  endMicroBatch?(step: Step, microBatch: number, nowUs: number): void;
  end?(step: Step, nowUs: number): void;
}

/** What the two pools share. */
export interface PipelineParts {
  readonly instance: SimulatedInstance;
  readonly heap: EventHeap;
  readonly links: Links;
  readonly orderOf: StepOrders;
  readonly timeline: Timeline | undefined;
}

/** Kinds of events; the argument says whose. */
export const eventKinds = {
  /** An attention worker goes on. */
  resume: 0,
  frameArrives: 1,
  /** An expert worker looks whether there is something to serve. */
  look: 2,
  expertDone: 3,
  answerArrives: 4,
  wake: 5,
} as const;
