import type { PipelineAction, StepFollower, StepShape } from '@megascale/scheduler';

/** The next thing to do; the same object every time. */
export interface WalkedAction<Step> {
  step: Step;
  action: PipelineAction;
}

/**
 * `followSteps` of the scheduler that stops before each action instead of performing it, so that many workers can go their ways side by side on one
 * simulated clock. A test holds it to the same calls in the same order.
 */
export function* walkSteps<Step extends StepShape>(
  first: Step,
  follower: Omit<StepFollower<Step>, 'perform'>,
): Generator<WalkedAction<Step>, void, undefined> {
  const walked: WalkedAction<Step> = { step: first, action: undefined as never };
  function* perform(step: Step, actions: readonly PipelineAction[]) {
    for (const action of actions) {
      walked.step = step;
      walked.action = action;
      yield walked;
    }
  }
  function* open(step: Step, from: number, to: number) {
    const { opening } = follower.orderOf(step.microBatchIndices);
    for (let place = from; place < to; place += 1) {
      const microBatch = step.microBatchIndices[place];
      if (microBatch !== undefined) follower.startMicroBatch(step, microBatch);
      yield* perform(step, opening[place] ?? []);
    }
  }
  follower.begin(first);
  yield* open(first, 0, first.microBatchIndices.length);
  for (let step: Step | undefined = first; step !== undefined;) {
    const { middle, closing }: ReturnType<typeof follower.orderOf> = follower.orderOf(
      step.microBatchIndices,
    );
    yield* perform(step, middle);
    let following: Step | undefined;
    let opened = 0;
    for (const [place, actions] of closing.entries()) {
      yield* perform(step, actions);
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
        yield* open(following, opened, upTo);
        opened = upTo;
      }
      if (last && early) follower.end(step);
    }
    step = following;
  }
}
