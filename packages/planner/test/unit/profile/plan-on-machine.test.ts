import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePlanFile } from '../../../src/deployment/parse-plan-file.js';
import type { MachineProfile } from '../../../src/profile/machine-profile.js';
import {
  machinePlanFile,
  planOnMachine,
  type MachinePlanRequest,
} from '../../../src/profile/plan-on-machine.js';
import { predictDecode } from '../../../src/profile/predict-decode.js';

const pool = (threads: number, workersAtOnce: number) => ({
  threads,
  workersAtOnce,
  stepOverheadUs: 200,
  stepTokenUs: 5,
  attention: {
    fixedUs: 1000,
    repeatedUs: 100,
    tokenUs: 3,
    kneeTokens: 8,
    kneeTokenUs: 20,
    keyUs: 0.01,
  },
  expert: { fixedUs: 20, expertUs: 100, rowUs: 5, kneeRows: 2, kneeRowUs: 5 },
  edge: { fixedUs: 100, tokenUs: 3, kneeTokens: 4, kneeTokenUs: 3 },
});
/** Of so many cores, with pools of two threads that were measured alone, and one handover. */
const profileOf = (cores: number): MachineProfile => ({
  version: 1,
  takenAt: '2026-01-01',
  machine: { cpu: 'a', cores, memoryBytes: 1e9, platform: 'linux', versions: { node: '20' } },
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
  pools: [pool(cores, 1)],
  handovers: [
    { attentionWorkers: 1, expertWorkers: 1, layerUs: 100, microBatchUs: 30, tokenUs: 2 },
  ],
  effectiveExperts: 16,
  transports: [],
});
const requestOf = (tpotMs: number, batchMax = 64): MachinePlanRequest => ({
  profile: profileOf(2),
  traffic: { inputTokens: 16, outputTokens: 32 },
  slo: { tpotMs },
  batchMax,
  microBatchesMax: 4,
});

describe('planOnMachine', () => {
  it('answers colocated where the pools take turns on the same cores', () => {
    const { answer, reason, ranked } = planOnMachine(requestOf(1e6));
    expect(answer).toBe('colocated');
    expect(reason).toMatch(/take turns/);
    expect(ranked.map(({ deployment }) => deployment.microBatches).sort()).toEqual([1, 1, 2, 3, 4]);
    expect(ranked.every(({ batch }) => batch === 64)).toBe(true);
  });

  it('takes the largest batch that keeps the time from token to token, and no larger', () => {
    fc.assert(
      fc.property(fc.double({ min: 3, max: 60, noNaN: true }), (tpotMs) => {
        const request = requestOf(tpotMs);
        for (const { deployment, batch, prediction } of planOnMachine(request).ranked) {
          expect(prediction.tpotUs).toBeLessThanOrEqual(tpotMs * 1000);
          if (batch === request.batchMax) continue;
          const more = predictDecode(request.profile, deployment, {
            batch: batch + 1,
            contextTokens: 32,
          });
          expect(more.tpotUs).toBeGreaterThan(tpotMs * 1000);
        }
      }),
    );
  });

  it('says so when nothing keeps it', () => {
    const request = requestOf(0.001);
    const found = planOnMachine(request);
    expect(found).toMatchObject({ answer: 'none', ranked: [] });
    expect(machinePlanFile(found, request)).toBeUndefined();
  });

  it('makes a plan file that serve reads', () => {
    const request = requestOf(100);
    const file = machinePlanFile(planOnMachine(request), request);
    expect(parsePlanFile(JSON.parse(JSON.stringify(file)), 'plan.json')).toEqual(file);
    expect(file?.serve).toMatchObject({ colocated: true, attentionWorkers: 1 });
  });
});
