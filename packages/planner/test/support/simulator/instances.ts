import type { StageTimes } from '@megascale/scheduler';
import type { StepCosts } from '../../../src/index.js';
import type { SimulatedInstance } from '../../../src/simulator/simulated-instance.js';

const shape = {
  layers: 60,
  expertCount: 8,
  topK: 2,
  dispatchRowBytes: 1,
  answerRowBytes: 1,
  attentionWorkers: 1,
  expertWorkers: 1,
  microBatches: 3,
  overlapSteps: false,
};

/** Two workers and a link whose times do not depend on what they are given. */
export function constantInstance(
  { attentionTimeUs, expertTimeUs, transferTimeUs }: StageTimes,
  changes: Partial<SimulatedInstance> = {},
): SimulatedInstance {
  const costs: StepCosts = {
    attentionTimeUs: () => attentionTimeUs,
    expertTimeUs: () => expertTimeUs,
    transferTimeUs: () => transferTimeUs,
    edgeTimeUs: () => 0,
    stepOverheadUs: 0,
  };
  return { costs, ...shape, ...changes };
}

/** Times that grow with the work, by round numbers. */
export const linearCosts: StepCosts = {
  attentionTimeUs: ({ tokens, keysRead }) => 60 + 0.8 * tokens + 0.004 * keysRead,
  expertTimeUs: ({ rows, distinctExperts }) => 20 + 12 * distinctExperts + 0.4 * rows,
  transferTimeUs: ({ attentionBytes, expertBytes }) =>
    15 + Math.max(attentionBytes, expertBytes) / 25_000,
  edgeTimeUs: (tokens) => 100 + tokens,
  stepOverheadUs: 50,
};

export function linearInstance(changes: Partial<SimulatedInstance> = {}): SimulatedInstance {
  return {
    costs: linearCosts,
    layers: 24,
    expertCount: 16,
    topK: 2,
    dispatchRowBytes: 8192,
    answerRowBytes: 8192,
    attentionWorkers: 2,
    expertWorkers: 4,
    microBatches: 3,
    ...changes,
  };
}
