import type { MicroBatchIndex } from '@megascale/core';
import type { PipelineAction } from './ping-pong.js';
import type { StepOrders } from './step-order.js';

/** What the order of a step depends on. */
export interface StepShape {
  readonly microBatchIndices: readonly MicroBatchIndex[];
}

/** What happens along the way; all calls are synchronous. */
export interface StepFollower<Step extends StepShape> {
  readonly orderOf: StepOrders;
  /** Start a step once the first micro-batch of the one before has sampled, if `next` gives one then. */
  readonly overlap: boolean;
  /** Before the first action of a step. */
  begin(step: Step): void;
  /** Before the first action of each of its micro-batches. */
  startMicroBatch(step: Step, microBatch: MicroBatchIndex): void;
  perform(step: Step, action: PipelineAction): void;
  /** After a micro-batch's last action. */
  endMicroBatch(step: Step, microBatch: MicroBatchIndex): void;
  /** After the last micro-batch's last action. The next step may be under way. */
  end(step: Step): void;
  /** The step to go on with. Undefined before the last micro-batch's end: it is asked again then. */
  next(): Step | undefined;
}

/**
 * Follows `first` and every step that `next` gives. Without overlap, one step after the other in the order of `pingPong`. With overlap
 * the end of a step and the start of the next are one layer boundary like any other: the last layer's combine of a micro-batch is followed by
 * the first layer's attend of the same micro-batch, and the others are meanwhile away at the experts. Frames leave in the same order either way.
 */
export function followSteps<Step extends StepShape>(
  first: Step,
  follower: StepFollower<Step>,
): void {
  follower.begin(first);
  openUpTo(first, 0, first.microBatchIndices.length, follower);
  for (let step: Step | undefined = first; step !== undefined;) {
    for (const action of follower.orderOf(step.microBatchIndices).middle)
      follower.perform(step, action);
    step = closeAndJoin(step, follower);
  }
}

/** Returns the step that follows, opened. */
function closeAndJoin<Step extends StepShape>(
  step: Step,
  follower: StepFollower<Step>,
): Step | undefined {
  const { closing } = follower.orderOf(step.microBatchIndices);
  let following: Step | undefined;
  let opened = 0;
  for (const [place, actions] of closing.entries()) {
    for (const action of actions) follower.perform(step, action);
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
      opened = openUpTo(following, opened, last ? length : Math.min(place + 1, length), follower);
    }
    if (last && early) follower.end(step);
  }
  return following;
}

function openUpTo<Step extends StepShape>(
  step: Step,
  from: number,
  to: number,
  follower: StepFollower<Step>,
): number {
  const { opening } = follower.orderOf(step.microBatchIndices);
  for (let place = from; place < to; place += 1) {
    const microBatch = step.microBatchIndices[place];
    if (microBatch !== undefined) follower.startMicroBatch(step, microBatch);
    for (const action of opening[place] ?? []) follower.perform(step, action);
  }
  return to;
}
