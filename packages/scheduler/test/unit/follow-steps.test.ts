import { microBatchIndex } from '@megascale/core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createStepOrders, followSteps, walkSteps, type StepFollower } from '../../src/index.js';

interface Step {
  readonly number: number;
  readonly microBatchIndices: readonly ReturnType<typeof microBatchIndex>[];
}

/**
 * Writes down every call. `next` gives a step early only where `eager` says so, as a batcher may
 * decline.
 */
function scribe(layers: number, sizes: readonly number[], overlap: boolean, eager: boolean[]) {
  const log: string[] = [];
  let given = 1;
  let asked = 0;
  const step = (number: number): Step => ({
    number,
    microBatchIndices: Array.from({ length: sizes[number] ?? 1 }, (_, index) =>
      microBatchIndex(index),
    ),
  });
  let early = true;
  const follower: StepFollower<Step> = {
    orderOf: createStepOrders(layers),
    overlap,
    begin: ({ number }) => log.push(`begin ${number}`),
    startMicroBatch: ({ number }, microBatch) => log.push(`start ${number} ${microBatch}`),
    perform: ({ number }, action) => log.push(`perform ${number} ${JSON.stringify(action)}`),
    endMicroBatch: ({ number, microBatchIndices }, microBatch) => {
      early = microBatch !== microBatchIndices.at(-1);
      log.push(`end ${number} ${microBatch}`);
    },
    end: ({ number }) => log.push(`end ${number}`),
    next: () => {
      const declines = early && eager[(asked += 1) % eager.length] === false;
      log.push(`next ${declines}`);
      if (declines || given >= sizes.length) return undefined;
      return step((given += 1) - 1);
    },
  };
  return { log, follower, first: step(0) };
}

it('performs what the walk comes to, call by call', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
      (layers, sizes, overlap, eager) => {
        const followed = scribe(layers, sizes, overlap, eager);
        followSteps(followed.first, followed.follower);
        const walked = scribe(layers, sizes, overlap, eager);
        for (const { step, action } of walkSteps(walked.first, walked.follower))
          walked.follower.perform(step, action);
        expect(walked.log).toEqual(followed.log);
      },
    ),
  );
});

it('opens a micro-batch of the next step as soon as the same one of this step has ended', () => {
  const { log, follower, first } = scribe(1, [2, 2], true, [true]);
  followSteps(first, follower);
  const short = log
    .filter((line) => !line.startsWith('next'))
    .map((line) => line.replace(/"type":|"layer":\d,|"microBatch":|[{}"]/g, '').replace(',', ' '));
  expect(short).toEqual([
    'begin 0',
    ...['start 0 0', 'perform 0 attend 0', 'perform 0 dispatch 0'],
    ...['start 0 1', 'perform 0 attend 1', 'perform 0 dispatch 1'],
    ...['perform 0 combine 0', 'perform 0 sample 0', 'end 0 0'],
    'begin 1',
    ...['start 1 0', 'perform 1 attend 0', 'perform 1 dispatch 0'],
    ...['perform 0 combine 1', 'perform 0 sample 1', 'end 0 1'],
    ...['start 1 1', 'perform 1 attend 1', 'perform 1 dispatch 1'],
    'end 0',
    ...['perform 1 combine 0', 'perform 1 sample 0', 'end 1 0'],
    ...['perform 1 combine 1', 'perform 1 sample 1', 'end 1 1', 'end 1'],
  ]);
});
