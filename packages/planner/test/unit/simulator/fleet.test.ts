import { describe, expect, it } from 'vitest';
import type { AttentionWork, ExpertWork, TransferWork } from '../../../src/index.js';
import { drawRequests } from '../../../src/simulator/load/requests.js';
import { simulateFleet } from '../../../src/simulator/fleet/simulate-fleet.js';
import { simulateServing } from '../../../src/simulator/serve/simulate-serving.js';
import type { FleetRun } from '../../../src/simulator/fleet/fleet-run.js';
import { linearCosts, linearInstance } from '../../support/simulator/instances.js';

const lengths = {
  prompt: { median: 300, sigma: 0.6, max: 4000 },
  output: { median: 60, sigma: 0.6, max: 500 },
};
const instance = linearInstance({ layers: 4 });
/** Eight times as slow, so that fewer steps are simulated. */
const slower = {
  ...instance,
  costs: {
    attentionTimeUs: (work: AttentionWork) => 8 * linearCosts.attentionTimeUs(work),
    expertTimeUs: (work: ExpertWork) => 8 * linearCosts.expertTimeUs(work),
    transferTimeUs: (work: TransferWork) => 8 * linearCosts.transferTimeUs(work),
    edgeTimeUs: (tokens: number) => 8 * linearCosts.edgeTimeUs(tokens),
    stepOverheadUs: 8 * linearCosts.stepOverheadUs,
  },
};
const limits = { kvPages: 8000, maxNumSeqs: 64 };

const fleet = (changes: Partial<FleetRun> = {}) =>
  simulateFleet({
    instance,
    limits,
    instances: 4,
    lengths,
    seed: 1,
    durationS: 900,
    samples: 6,
    load: { requestsPerSecond: 60 },
    ...changes,
  });

describe('a simulated fleet', () => {
  it('loses no request, the same way each time', () => {
    const report = fleet();
    const { arrived, finished, refused, unfinished } = report.requests;
    expect(arrived).toBe(finished + refused + unfinished);
    expect(arrived / 900 / 60).toBeCloseTo(1, 0);
    expect(unfinished).toBeLessThan(200);
    expect(report.ttftMs.count).toBeGreaterThanOrEqual(finished);
    expect(fleet()).toEqual(report);
  });

  it.each([0.5, 5])(
    'is close to the detailed simulator at %d requests a second',
    (rate) => {
      const durationS = 12;
      const { report } = simulateServing({
        instance: slower,
        limits,
        durationS,
        warmUpS: 2,
        drainS: 0,
        requests: drawRequests({
          requestsPerSecond: rate,
          durationS,
          seed: 3,
          lengths,
          arrivals: { type: 'poisson' },
        }),
      });
      const model = fleet({
        instance: slower,
        instances: 1,
        durationS: 3600,
        load: { requestsPerSecond: rate, amplitude: 0 },
      });
      expect(Math.abs(model.tpotMs.mean / report.tpotMs.mean - 1)).toBeLessThan(0.15);
      // A median of 60 and a sigma of 0.6 make a mean of 71.8.
      expect(model.outputTokensPerSecond / (rate * 71.8)).toBeCloseTo(1, 1);
    },
    120_000,
  );

  it('is slower the more comes, and full at last', () => {
    const at = (requestsPerSecond: number) =>
      fleet({
        ...{
          load: { requestsPerSecond },
          durationS: 100,
          limits: { ...limits, maxQueuedRequests: 50 },
        },
      });
    const [few, many, tooMany] = [at(10), at(200), at(6000)];
    expect(few.tpotMs.mean).toBeLessThan(many.tpotMs.mean);
    expect(many.requests.refused).toBe(0);
    expect(tooMany.requests.refused).toBeGreaterThan(0);
    expect(Math.max(...tooMany.samples.map(({ waiting }) => waiting))).toBeLessThanOrEqual(200);
    expect(tooMany.busy).toBeGreaterThan(0.99);
  });

  it('follows the day', () => {
    const { samples } = fleet({
      durationS: 86_400,
      samples: 24,
      load: { requestsPerSecond: 2, peakHour: 15 },
    });
    const tokens = samples.map(({ outputTokensPerSecond }) => outputTokensPerSecond);
    expect(tokens.indexOf(Math.max(...tokens))).toBeGreaterThan(12);
    expect(tokens.indexOf(Math.max(...tokens))).toBeLessThan(18);
    expect(tokens.indexOf(Math.min(...tokens))).toBeLessThan(6);
  });

  it('serves through failures and stragglers, more slowly', () => {
    const calm = fleet();
    const failing = fleet({ faults: { failures: { meanHoursBetween: 0.5, recoveryS: 20 } } });
    expect(failing.failures).toBeGreaterThan(0);
    expect(failing.down).toBeGreaterThan(0);
    expect(failing.requests.finished).toBeGreaterThan(0.99 * calm.requests.finished);
    expect(failing.tpotMs.max).toBeGreaterThan(calm.tpotMs.max);
    const slow = fleet({
      faults: { stragglers: { meanHoursBetween: 0.2, forS: 300, factor: 3 } },
    });
    expect(slow.tpotMs.mean).toBeGreaterThan(calm.tpotMs.mean);
  });

  it('waits less where the router looks at two instances than at one', () => {
    const busy = {
      load: { requestsPerSecond: 1500 },
      instances: 8,
      durationS: 100,
      limits: { ...limits, kvPages: 1500 },
    };
    const waits = (router: FleetRun['router']) =>
      fleet({ ...busy, ...(router === undefined ? {} : { router }) }).ttftMs.p99;
    const random = waits({ type: 'choices', count: 1 });
    expect(waits({ type: 'choices', count: 2 })).toBeLessThan(random);
    expect(waits({ type: 'round-robin' })).toBeLessThan(random);
  });

  it.each([
    { path: 'instances', changes: { instances: 0 } },
    { path: 'load.amplitude', changes: { load: { requestsPerSecond: 1, amplitude: 1 } } },
    { path: 'load.requestsPerSecond', changes: { load: { requestsPerSecond: -1 } } },
  ])('refuses an impossible $path', ({ path, changes }) => {
    expect(() => fleet(changes)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_FIELD', details: { path } }) as Error,
    );
  });
});
