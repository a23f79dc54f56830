import { attentionFitUs, deployOnCores, edgeFitUs, expertFitUs } from '@megascale/planner';
import { describe, expect, it } from 'vitest';
import { fitProfile } from '../../../src/profile/fit-profile.js';
import type { ProbedRun } from '../../../src/profile/predict/probed-runs.js';

const attention = {
  fixedUs: 300,
  repeatedUs: 120,
  tokenUs: 4,
  kneeTokens: 8,
  kneeTokenUs: 20,
  keyUs: 0.02,
};
const expert = { fixedUs: 30, expertUs: 400, rowUs: 20, kneeRows: 2, kneeRowUs: 30 };
const edge = { fixedUs: 2500, tokenUs: 50, kneeTokens: 4, kneeTokenUs: 300 };
const reference = [8000, 25_000];

/** A run of a machine that is `pace` times as slow as the reference. */
function run(
  workers: number,
  batch: number,
  pace: number,
  cut?: { microBatches: number },
): ProbedRun {
  const microBatches = cut?.microBatches ?? 1;
  const deployment = deployOnCores(
    {
      colocated: cut === undefined,
      attentionWorkers: workers,
      expertWorkers: workers,
      microBatches,
    },
    2,
  );
  const tokens = batch / workers / microBatches;
  const distinct = 16 * (1 - (1 - 2 / 16) ** (batch / workers));
  const reading = reference.map((us) => us * pace);
  return {
    deployment,
    shape: { batch, promptTokens: 6, outputTokens: 10 },
    around: [reading, reading],
    run: {
      tpotUs: 1,
      tokensPerSecond: 1,
      foreignShare: 0,
      stepOverheadUs: 200 * pace,
      window: { startUs: 0, endUs: 1 },
      attention: [6, 200].map((context) => {
        const repeated = cut === undefined ? 0 : (microBatches - 1) / microBatches;
        const work = { tokens, keysSeen: tokens * context, repeated };
        return { ...work, us: pace * attentionFitUs(attention, work) };
      }),
      expert: [
        {
          rows: 2 * tokens,
          distinctExperts: distinct,
          us: pace * expertFitUs(expert, 2 * tokens, distinct),
        },
      ],
      edge: [{ tokens, us: pace * edgeFitUs(edge, tokens) }],
      handoverUs: cut === undefined ? 0 : pace * (80 + 25 * microBatches + 3 * batch),
    },
  };
}

describe('fitProfile', () => {
  it('finds what runs took at the reference, whatever the pace was then', () => {
    const paces = [1, 1.7, 0.8, 2.4, 1.1, 1.3];
    const runs = [1, 2, 4, 8, 16, 32].map((batch, index) => run(1, batch, paces[index] ?? 1));
    const cut = [1, 2].flatMap((microBatches) =>
      [4, 8].map((batch) => run(1, batch, 1.9 * microBatches, { microBatches })),
    );
    const { pools, handovers, effectiveExperts } = fitProfile([...runs, ...cut], reference, {
      expertCount: 16,
      topK: 2,
    });
    const [pool] = pools;
    if (pool === undefined) throw new Error('no pool');
    expect(pool).toMatchObject({ threads: 2, workersAtOnce: 1 });
    for (const tokens of [1, 3, 8, 20, 32]) {
      const truth = attentionFitUs(attention, { tokens, keysSeen: 40 * tokens });
      expect(attentionFitUs(pool.attention, { tokens, keysSeen: 40 * tokens }) / truth).toBeCloseTo(
        1,
        4,
      );
      expect(edgeFitUs(pool.edge, tokens) / edgeFitUs(edge, tokens)).toBeCloseTo(1, 4);
    }
    expect(pool.attention.repeatedUs).toBeCloseTo(120, 2);
    expect(pool.stepOverheadUs).toBeCloseTo(200, 6);
    expect(effectiveExperts).toBeCloseTo(16, 2);
    expect(handovers).toHaveLength(1);
    expect(handovers[0]?.layerUs).toBeCloseTo(80, 3);
    expect(handovers[0]?.microBatchUs).toBeCloseTo(25, 3);
    expect(handovers[0]?.tokenUs).toBeCloseTo(3, 3);
  });

  it('keeps pools apart that compute beside another', () => {
    const runs = [1, 2].flatMap((workers) => [4, 8, 16].map((batch) => run(workers, batch, 1)));
    const { pools } = fitProfile(runs, reference, { expertCount: 16, topK: 2 });
    expect(pools.map(({ threads, workersAtOnce }) => [threads, workersAtOnce])).toEqual([
      [2, 1],
      [1, 2],
    ]);
  });
});
