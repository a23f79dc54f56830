import { describe, expect, it } from 'vitest';
import { decodeSamples } from '../../src/profile/decode-samples.js';
import { numbersWithin } from '../../src/profile/window-numbers.js';
import { record, step, worker } from '../support/made-up-profiles.js';

const model = { layerCount: 2, hiddenSize: 8, expertWidth: 4, topK: 2 };
/** FLOPs of one row by the formulas of the cost model, and bytes of one expert. */
const rowFlops = 4 * (6 * 8 + 4);
const expertBytes = 3 * 8 * 4 * 2;

/** Three decode steps of 1000 µs each, 2 sequences, one micro-batch. */
const ends = [1000, 2000, 3000, 4000];
const steps = ends.map((endUs) =>
  step({
    startUs: endUs - 900,
    endUs,
    computeUs: 560,
    waitUs: 250,
    dispatchUs: 30,
    samplingUs: 60,
  }),
);
const attentionRecords = ends.map((endUs) =>
  record({ op: 'lmHead', layer: -1, startUs: endUs - 200, endUs: endUs - 40 }),
);
const expertRecords = ends.flatMap((endUs) =>
  [0, 1].map((layer) =>
    record({
      op: 'experts',
      layer,
      microBatch: -1,
      startUs: endUs - 800 + 300 * layer,
      endUs: endUs - 700 + 300 * layer,
      flops: 4 * rowFlops,
      weightBytes: 3 * expertBytes,
    }),
  ),
);

describe('decodeSamples', () => {
  it('takes the steps of two pools apart until nothing is left', () => {
    const attention = worker('attention', { records: attentionRecords, steps });
    const [expert] = [worker('expert', { records: expertRecords })];
    const held = expert.stages.map((stage) => ({
      ...stage,
      totals: { ...stage.totals, weightBytes: 2 * 6 * expertBytes },
    }));
    const samples = decodeSamples([attention, { ...expert, stages: held }], {
      model,
      promptTokens: 5,
      microBatches: 1,
      expertsPerWorker: 6,
    });
    expect(samples.tpotUs).toBe(1000);
    // 560 of computing, of which 160 are the LM head; two layers.
    expect(samples.attention[0]).toEqual({ tokens: 2, keysSeen: 14, repeated: 0, us: 200 });
    expect(samples.edge[0]).toEqual({ tokens: 2, us: 220 });
    expect(samples.expert[0]).toEqual({ rows: 4, distinctExperts: 3, us: 100 });
    // 280 of dispatching and waiting, of which 2 × 100 the experts compute.
    expect(samples.handoverUs).toBe(40);
    expect(samples.stepOverheadUs).toBe(100);
    expect(2 * (200 + 100 + samples.handoverUs) + 220 + samples.stepOverheadUs).toBe(
      samples.tpotUs,
    );
  });
});

describe('numbersWithin', () => {
  it('leaves out what a flight recorder knows of other runs', () => {
    const kindOfExperts = 7;
    const recording = {
      kinds: [kindOfExperts, kindOfExperts],
      startUs: [0, 100],
      endUs: [50, 110],
      layers: [0, 0],
      microBatches: [-1, -1],
      sizes: [1, 1],
      lost: 0,
    };
    const worker = {
      role: 'expert' as const,
      rank: 0,
      pid: 1,
      recording,
      clockOffsetUs: 0,
      clockErrorUs: 0,
    };
    const whole = numbersWithin([worker], { startUs: 0, endUs: 1000 });
    const late = numbersWithin([worker], { startUs: 60, endUs: 1000 });
    expect(whole.workers[0]?.windowUs).toBe(110);
    expect(late.workers[0]?.windowUs).toBe(10);
  });
});
