import { stepTimeUs, layerPeriodUs } from '@megascale/scheduler';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deployOnCores } from '../../../src/profile/deploy-on-cores.js';
import { parseMachineProfile, type MachineProfile } from '../../../src/profile/machine-profile.js';
import { predictDecode, type MachineDeployment } from '../../../src/profile/predict-decode.js';
import { createProfileCosts } from '../../../src/profile/profile-costs.js';
import { recalibrate } from '../../../src/profile/recalibrate.js';
import { walkStepUs, type WalkTimes } from '../../../src/profile/walk-step-us.js';

const pool = (threads: number, workersAtOnce: number, slow: number) => ({
  threads,
  workersAtOnce,
  stepOverheadUs: 200,
  stepTokenUs: 5,
  attention: {
    fixedUs: 200 * slow,
    repeatedUs: 150 * slow,
    tokenUs: 3,
    kneeTokens: 8,
    kneeTokenUs: 20,
    keyUs: 0.01,
  },
  expert: { fixedUs: 20, expertUs: 350 * slow, rowUs: 5, kneeRows: 2, kneeRowUs: 50 },
  edge: { fixedUs: 2000 * slow, tokenUs: 30, kneeTokens: 4, kneeTokenUs: 300 },
});
const profile: MachineProfile = {
  version: 1,
  takenAt: '2026-01-01',
  machine: { cpu: 'a', cores: 2, memoryBytes: 1e9, platform: 'linux', versions: { node: '20' } },
  backend: 'cpu',
  isa: 'avx2',
  model: {
    name: 'm',
    layerCount: 4,
    hiddenSize: 1024,
    expertCount: 16,
    topK: 2,
    expertWidth: 1792,
    vocabSize: 32_000,
  },
  bounds: {
    readBytesPerSecond: 3e10,
    multiplyFlopsPerSecond: 1e11,
    instructionFlopsPerSecond: 2e11,
    forkJoinUs: 2,
  },
  pools: [pool(2, 1, 1), pool(1, 2, 1.8)],
  handovers: [
    { attentionWorkers: 1, expertWorkers: 1, layerUs: 100, microBatchUs: 30, tokenUs: 2 },
  ],
  effectiveExperts: 16,
  transports: [{ name: 'shm', alphaUs: 2, bytesPerUs: 5000, points: [] }],
};

const deployments = fc
  .record({
    colocated: fc.boolean(),
    attentionWorkers: fc.integer({ min: 1, max: 2 }),
    expertWorkers: fc.integer({ min: 1, max: 2 }),
    microBatches: fc.integer({ min: 1, max: 4 }),
  })
  .map((wanted) => deployOnCores(wanted, 2));

function tpotUs(deployment: MachineDeployment, batch: number, contextTokens = 16): number {
  return predictDecode(profile, deployment, { batch, contextTokens }).tpotUs;
}

describe('walkStepUs', () => {
  it('is the law of the pipeline, for steps apart and for joined ones', () => {
    const times = fc.integer({ min: 1, max: 1000 });
    fc.assert(
      fc.property(
        ...([times, times, fc.integer({ min: 0, max: 800 })] as const),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 24 }),
        (attentionTimeUs, expertTimeUs, transferTimeUs, microBatches, layerCount) => {
          const all = (value: number): number[] => Array<number>(microBatches).fill(value);
          const walk = (overlapSteps: boolean): WalkTimes => ({
            layerCount,
            gather: 'lockstep',
            overlapSteps,
            attentionUs: all(attentionTimeUs),
            expertUs: all(expertTimeUs),
            edgeUs: all(0),
            mergedExpertUs: 0,
            stepOverheadUs: 0,
            handoverUs: 0,
            dispatchUs: 0,
            link: { latencyUs: transferTimeUs, rowsUs: all(0), answersUs: all(0) },
          });
          const law = { attentionTimeUs, expertTimeUs, transferTimeUs };
          // The law's link carries one micro-batch at a time; this one is only far away.
          fc.pre(transferTimeUs <= Math.max(attentionTimeUs, expertTimeUs));
          expect(walkStepUs(walk(false))).toBeCloseTo(stepTimeUs(law, microBatches, layerCount), 6);
          expect(walkStepUs(walk(true))).toBeCloseTo(
            layerCount * layerPeriodUs(law, microBatches),
            6,
          );
        },
      ),
      // Pools so much alike that the slower one falls behind only over hundreds of layers.
      { examples: [[737, 738, 0, 4, 1]] },
    );
  });

  it('adds pools up that take turns', () => {
    const two = [300, 300];
    const us = walkStepUs({
      layerCount: 4,
      gather: 'layer',
      overlapSteps: true,
      attentionUs: two,
      expertUs: two,
      mergedExpertUs: 1000,
      edgeUs: [500, 500],
      stepOverheadUs: 100,
      handoverUs: 50,
      dispatchUs: 10,
      link: { latencyUs: 0, rowsUs: [0, 0], answersUs: [0, 0] },
    });
    expect(us).toBeCloseTo(4 * (600 + 20 + 50 + 1000) + 1000 + 100, 6);
  });
});

describe('predictDecode', () => {
  it('never takes less time for more sequences or longer contexts', () => {
    fc.assert(
      fc.property(
        ...([deployments, fc.integer({ min: 1, max: 31 })] as const),
        fc.integer({ min: 1, max: 2000 }),
        (deployment, batch, context) => {
          // One sequence more may join a smaller micro-batch, but on no worker anything gets less.
          const more = batch + deployment.attentionWorkers;
          expect(tpotUs(deployment, more, context)).toBeGreaterThanOrEqual(
            tpotUs(deployment, batch, context) * 0.97,
          );
          expect(tpotUs(deployment, batch, context + 100)).toBeGreaterThanOrEqual(
            tpotUs(deployment, batch, context),
          );
        },
      ),
    );
  });

  it('scales with the pace, but for what a link takes', () => {
    fc.assert(
      fc.property(deployments, fc.integer({ min: 1, max: 32 }), (deployment, batch) => {
        const workload = { batch, contextTokens: 10 };
        const slow = predictDecode(profile, deployment, workload, 2).tpotUs;
        expect(slow).toBeCloseTo(2 * tpotUs(deployment, batch, 10), 3);
      }),
    );
  });

  it('adds two hops a layer where the pools take turns, whatever m is', () => {
    for (const microBatches of [1, 2, 3]) {
      const near = deployOnCores({ microBatches }, 2);
      const far = deployOnCores({ microBatches, emulatedLink: { latencyUs: 500 } }, 2);
      // Joined steps: each layer of each step waits once.
      expect(tpotUs(far, 24) - tpotUs(near, 24)).toBeGreaterThan(3 * 2 * 500);
      expect(tpotUs(far, 24) - tpotUs(near, 24)).toBeLessThanOrEqual(4 * 2 * 500 + 1e-6);
    }
  });

  it('names the threads that were not measured', () => {
    const deployment = deployOnCores({ colocated: true, threads: 7 }, 16);
    expect(() => tpotUs(deployment, 1)).toThrow(/no workers with 7 threads.*--threads 7/);
  });

  it('takes turns where the threads outnumber the cores, as the engine does', () => {
    expect(deployOnCores({}, 2)).toMatchObject({
      gather: 'layer',
      attentionThreads: 2,
      expertThreads: 2,
      microBatches: 2,
    });
    expect(deployOnCores({ threads: 1 }, 2).gather).toBe('lockstep');
    expect(deployOnCores({ colocated: true }, 2)).toMatchObject({ microBatches: 1 });
  });
});

describe('recalibrate', () => {
  const deployment = deployOnCores({ microBatches: 2 }, 2);
  const workload = { batch: 8, contextTokens: 16 };

  it('halves the distance to what was measured, in the logarithm', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.5, max: 2, noNaN: true }), (off) => {
        const { attentionUs, expertUs, edgeUs } = predictDecode(profile, deployment, workload);
        const times = { attentionUs: attentionUs * off, expertUs: expertUs * off };
        const better = recalibrate(profile, { deployment, workload, times, pace: 1 });
        const now = predictDecode(better, deployment, workload);
        expect(now.attentionUs / attentionUs).toBeCloseTo(Math.sqrt(off), 6);
        expect(now.expertUs / expertUs).toBeCloseTo(Math.sqrt(off), 6);
        expect(now.edgeUs).toBe(edgeUs);
      }),
    );
  });

  it('leaves pools alone that the run did not use, and all where nothing was measured', () => {
    const times = { attentionUs: 10_000, handoverUs: 500 };
    const better = recalibrate(profile, { deployment, workload, times, pace: 1 });
    expect(better.pools[1]).toEqual(profile.pools[1]);
    expect(better.handovers).not.toEqual(profile.handovers);
    expect(recalibrate(profile, { deployment, workload, times: {}, pace: 2 })).toEqual(profile);
  });
});

describe('parseMachineProfile', () => {
  it('reads what was written', () => {
    expect(parseMachineProfile(JSON.stringify(profile))).toEqual(profile);
  });

  it.each([
    ['{', /no JSON.*megascale profile MODEL --out FILE/],
    [JSON.stringify({ ...profile, version: 2 }), /Field version/],
    [JSON.stringify({ ...profile, pools: [] }), /Field pools/],
    [JSON.stringify({ ...profile, effectiveExperts: -1 }), /Field effectiveExperts/],
    [' '.repeat((1 << 20) + 1), /at most/],
  ])('refuses a bad file with a typed error', (text, message) => {
    expect(() => parseMachineProfile(text)).toThrow(message);
    expect(() => parseMachineProfile(text)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_FIELD' }) as Error,
    );
  });
});

describe('createProfileCosts', () => {
  const [attention, expert] = profile.pools;
  it('answers what the profile measured', () => {
    if (attention === undefined || expert === undefined) throw new Error('no pools');
    const costs = createProfileCosts(profile, { attention, expert, transport: 'shm' });
    expect(costs.attentionTimeUs({ tokens: 4, keysSeen: 100, keysRead: 100 })).toBe(213);
    expect(costs.expertTimeUs({ rows: 0, distinctExperts: 0 })).toBe(0);
    expect(costs.edgeTimeUs(2)).toBe(2060);
    expect(() => createProfileCosts(profile, { attention, expert, transport: 'x' })).toThrow('x');
  });
});
