import { fcfs, prefillFirst, sloAware } from '@megascale/scheduler';
import { describe, expect, it } from 'vitest';
import {
  drawRequests,
  type SimulatedRequest,
  type Workload,
} from '../../../src/simulator/load/requests.js';
import { simulateServing } from '../../../src/simulator/serve/simulate-serving.js';
import type { ServingRun } from '../../../src/simulator/serve/serving-run.js';
import { linearInstance } from '../../support/simulator/instances.js';

const lengths = {
  prompt: { median: 80, sigma: 0.8, max: 1000 },
  output: { median: 20, sigma: 0.8, max: 200 },
};
const workload: Workload = {
  requestsPerSecond: 20,
  durationS: 2,
  seed: 1,
  arrivals: { type: 'poisson' },
  lengths,
};
const instance = linearInstance({ layers: 2 });
const alone = linearInstance({ layers: 2, attentionWorkers: 1 });

function run(changes: Partial<ServingRun> = {}, load: Partial<Workload> = {}) {
  const wanted = { ...workload, ...load };
  return simulateServing({
    instance,
    limits: { kvPages: 4000 },
    durationS: wanted.durationS,
    requests: drawRequests(wanted),
    ...changes,
  });
}

const given: readonly SimulatedRequest[] = [...drawRequests(workload)];
/** All of them a millisecond before a second has gone. */
const together = given.map((request, index) => ({ ...request, arrivalUs: 999_000 + index }));
const outputTokens = given.reduce((sum, request) => sum + request.outputTokens, 0);

describe('simulated serving', () => {
  it.each([fcfs, prefillFirst, sloAware()])(
    'finishes every request with the policy $name, the same way each time',
    (policy) => {
      const { report } = run({ policy });
      expect(report.requests).toEqual({
        arrived: given.length,
        finished: given.length,
        refused: 0,
        unfinished: 0,
      });
      expect(report.simulatedS).toBeGreaterThanOrEqual(1.8);
      expect(run({ policy }).report).toEqual(report);
    },
  );

  it('counts every token of every request once', () => {
    const { report } = run({ durationS: 30, warmUpS: 0 });
    expect(report.outputTokensPerSecond * 30).toBeCloseTo(outputTokens, 6);
    expect(report.ttftMs.count).toBe(given.length);
    const many = given.filter((request) => request.outputTokens > 1);
    expect(report.tpotMs.count).toBe(many.length);
    expect(report.tokenGapMs.count).toBe(outputTokens - given.length);
  });

  it('takes a lone request what its steps take, and nothing more', () => {
    const { report } = run({
      requests: [{ arrivalUs: 1000, promptTokens: 100, outputTokens: 11 }],
    });
    // One prompt of 100 tokens in three micro-batches, then ten decode steps: no queue.
    expect(report.requests.finished).toBe(1);
    expect(report.tpotMs.max).toBeCloseTo(report.tokenGapMs.mean, 9);
    expect(report.queue.max).toBe(0);
    const single = report.tpotMs.max;
    const { report: crowded } = run({}, { requestsPerSecond: 200, durationS: 1 });
    expect(crowded.tpotMs.mean).toBeGreaterThan(single);
  });

  it('loses no request with an attention worker, and computes again what it had', () => {
    const failures = [{ role: 'attention', rank: 0, atS: 1, recoveryS: 0.5 }] as const;
    const { report } = run({ requests: together, faults: { failures }, durationS: 30 });
    expect(report.requests.finished).toBe(given.length);
    expect(report.outputTokensPerSecond * 30).toBeCloseTo(outputTokens, 6);
    expect(report.resumed).toBeGreaterThan(0);
    expect(report.recomputedTokens).toBeGreaterThan(report.resumed);
  });

  it('waits where the only attention worker is lost', () => {
    const failures = [{ role: 'attention', rank: 0, atS: 1, recoveryS: 2 }] as const;
    const { report } = run({
      instance: alone,
      requests: together,
      faults: { failures },
      durationS: 30,
    });
    expect(report.requests.finished).toBe(given.length);
    expect(report.ttftMs.max).toBeGreaterThan(2000);
  });

  it('stands still while an expert worker is lost', () => {
    const failures = [{ role: 'expert', rank: 3, atS: 1, recoveryS: 1.25 }] as const;
    const { report } = run({ requests: together, faults: { failures }, durationS: 30 });
    expect(report.requests.finished).toBe(given.length);
    expect(report.tokenGapMs.max).toBeGreaterThan(1250);
    expect(report.tokenGapMs.max).toBeLessThan(1300);
  });

  it('is slower with a straggler, for as long as there is one', () => {
    const straggler = { role: 'expert', rank: 1, fromS: 0, factor: 5 } as const;
    const mean = (forS: number) =>
      run({ faults: { stragglers: [{ ...straggler, forS }] } }).report.tpotMs.mean;
    const [never, awhile, always] = [run().report.tpotMs.mean, mean(1), mean(100)];
    expect(never).toBeLessThan(awhile);
    expect(awhile).toBeLessThan(always);
    expect(mean(0)).toBe(never);
  });

  it('refuses beyond its queue, and preempts where pages are short', () => {
    const crowd = given.map((request) => ({ ...request, arrivalUs: 1 }));
    const { report } = run({
      instance: alone,
      requests: crowd,
      limits: { kvPages: 4000, maxQueuedRequests: 10 },
    });
    // One starts at once.
    expect(report.requests.refused).toBe(given.length - 11);
    const long = Array.from({ length: 6 }, () => {
      return { arrivalUs: 1, promptTokens: 32, outputTokens: 100 };
    });
    const { report: short } = run({ requests: long, limits: { kvPages: 12 } });
    expect(short.requests.finished).toBe(6);
    expect(short.preemptions).toBeGreaterThan(0);
    expect(short.kvUse.max).toBeLessThanOrEqual(1);
  });

  it('counts those that got what they wanted', () => {
    const all = run({ targets: { ttftMs: 1e6, tpotMs: 1e6 }, durationS: 30 }).report;
    expect((all.goodRequestsPerSecond ?? 0) * 30).toBeCloseTo(given.length, 6);
    const none = run({ targets: { ttftMs: 0.001, tpotMs: 0.001 }, durationS: 30 }).report;
    expect(none.goodRequestsPerSecond).toBe(0);
  });

  it('keeps a timeline of the newest steps', () => {
    const { timeline, timelineLost } = run({ timelineEvents: 500 });
    expect(timeline).toHaveLength(500);
    expect(timelineLost).toBeGreaterThan(500);
  });

  it.each([
    { path: 'durationS', changes: { warmUpS: 5 } },
    {
      path: 'faults',
      changes: {
        faults: { failures: [{ role: 'expert', rank: 4, atS: 1, recoveryS: 1 } as const] },
      },
    },
  ])('refuses an impossible $path', ({ path, changes }) => {
    expect(() => run(changes)).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_FIELD',
        details: expect.objectContaining({ path }) as object,
      }) as Error,
    );
  });
});
