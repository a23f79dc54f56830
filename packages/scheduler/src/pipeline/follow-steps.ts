import type { MicroBatchIndex } from '@megascale/core';
import type { PipelineAction } from './ping-pong.js';
import type { StepOrders } from './step-order.js';

/** What the order of a step depends on. */
export interface StepShape {
  readonly microBatchIndices: readonly MicroBatchIndex[];
}

/** An attention worker's part in the order of steps; all calls are synchronous. */
export interface StepFollower<Step extends StepShape> {
  readonly orderOf: StepOrders;
  /** Whether a step may start once the first micro-batch of the step before it has sampled. */
  readonly overlap: boolean;
  /** Called before the first action of a step. */
  begin(step: Step): void;
  /** Called before the first action of each micro-batch. */
  startMicroBatch(step: Step, microBatch: MicroBatchIndex): void;
  perform(step: Step, action: PipelineAction): void;
  /** Called after the last action of each micro-batch. */
  endMicroBatch(step: Step, microBatch: MicroBatchIndex): void;
  /** Called after the last action of a step. The next step may be under way. */
  end(step: Step): void;
  /**
   * The step to go on with. Where this gives none before the last micro-batch's end, it is called
   * again at that end.
   */
  next(): Step | undefined;
}

/** One action of a step, before it is performed. */
export interface StepAction<Step extends StepShape> {
  readonly step: Step;
  readonly action: PipelineAction;
}

/**
 * Follows `first` and every step that `next` gives, and performs each action of `walkSteps` in
 * turn.
 */
export function followSteps<Step extends StepShape>(
  first: Step,
  follower: StepFollower<Step>,
): void {
  for (const { step, action } of walkSteps(first, follower)) follower.perform(step, action);
}

/**
 * The order of work over all steps of one attention worker: the only place that states it. Without
 * overlap, steps follow each other, each in the order of `pingPong`. With overlap, the end of a
 * step and the start of the next are one layer boundary like any other: the worker combines the
 * last layer of a micro-batch, then attends to the first layer of the same micro-batch of the next
 * step, while the other micro-batches are away at the experts. Frames leave in the same order
 * either way.
 *
 * The generator stops before each action, so that a simulator can let many workers go their ways
 * side by side on one simulated clock. The caller performs the action and asks for the next one.
 */
export function* walkSteps<Step extends StepShape>(
  first: Step,
  follower: Omit<StepFollower<Step>, 'perform'>,
): Generator<StepAction<Step>, void, undefined> {
  follower.begin(first);
  yield* open(first, 0, first.microBatchIndices.length, follower);
  for (let step: Step | undefined = first; step !== undefined;) {
    for (const action of follower.orderOf(step.microBatchIndices).middle) yield { step, action };
    step = yield* closeAndJoin(step, follower);
  }
}

/** Closes `step`, and returns the step that follows with all its micro-batches opened. */
function* closeAndJoin<Step extends StepShape>(
  step: Step,
  follower: Omit<StepFollower<Step>, 'perform'>,
): Generator<StepAction<Step>, Step | undefined, undefined> {
  const { closing } = follower.orderOf(step.microBatchIndices);
  let following: Step | undefined;
  let opened = 0;
  for (const [place, actions] of closing.entries()) {
    for (const action of actions) yield { step, action };
    const [microBatch] = actions;
    if (microBatch !== undefined) follower.endMicroBatch(step, microBatch.microBatch);
    const last = place === closing.length - 1;
    const early = following !== undefined;
    if (last && !early) follower.end(step);
    if (!early && (last || (place === 0 && follower.overlap))) {
      following = follower.next();
      if (following !== undefined) follower.begin(following);
    }
    if (following !== undefined) {
      const { length } = following.microBatchIndices;
      const upTo = last ? length : Math.min(place + 1, length);
      yield* open(following, opened, upTo, follower);
      opened = upTo;
    }
    if (last && early) follower.end(step);
  }
  return following;
}

/** Starts the micro-batches from place `from` up to place `to` of a step. */
function* open<Step extends StepShape>(
  step: Step,
  from: number,
  to: number,
  follower: Omit<StepFollower<Step>, 'perform'>,
): Generator<StepAction<Step>, void, undefined> {
  const { opening } = follower.orderOf(step.microBatchIndices);
  for (let place = from; place < to; place += 1) {
    const microBatch = step.microBatchIndices[place];
    if (microBatch !== undefined) follower.startMicroBatch(step, microBatch);
    for (const action of opening[place] ?? []) yield { step, action };
  }
}
