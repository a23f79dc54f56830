import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkEmulatedLink,
  LinkModel,
  tokensWithRoute,
} from '../../../src/testing/emulated-link/link-model.js';

const links = fc.record(
  {
    latencyUs: fc.integer({ min: 0, max: 10_000 }),
    jitterUs: fc.integer({ min: 0, max: 1000 }),
    gigabitsPerSecond: fc.constantFrom(0.001, 1, 25, 400),
    seed: fc.integer(),
  },
  { requiredKeys: ['latencyUs'] },
);
/** Gaps between messages and their sizes. */
const messages = fc.array(
  fc.record({
    gapUs: fc.integer({ min: 0, max: 500 }),
    bytes: fc.integer({ min: 0, max: 100_000 }),
  }),
  { maxLength: 40 },
);

function sentAt(gaps: readonly { gapUs: number; bytes: number }[]) {
  let sentUs = 0;
  return gaps.map(({ gapUs, bytes }) => ({ sentUs: (sentUs += gapUs), bytes }));
}

describe('LinkModel', () => {
  it('adds the latency and the time that the bytes take', () => {
    const link = new LinkModel({ latencyUs: 100, gigabitsPerSecond: 1 }, 0);
    expect(link.arrivalUs(1000, 1250)).toBeCloseTo(1000 + 10 + 100);
    // Sent at the same time: the link is busy until 1010.
    expect(link.arrivalUs(1000, 1250)).toBeCloseTo(1020 + 100);
    // Sent when the link is idle again.
    expect(link.arrivalUs(5000, 1250)).toBeCloseTo(5010 + 100);
  });

  it('has no limit of its own but the latency', () => {
    expect(new LinkModel({ latencyUs: 7 }, 0).arrivalUs(3, 1e12)).toBe(10);
  });

  it('brings no message sooner than its latency and bytes allow, nor later than the queue and the jitter explain, in order', () => {
    fc.assert(
      fc.property(links, messages, (options, gaps) => {
        const { latencyUs, jitterUs = 0, gigabitsPerSecond = Infinity } = options;
        const link = new LinkModel(options, 3);
        let leftUs = 0;
        let lastUs = 0;
        for (const { sentUs, bytes } of sentAt(gaps)) {
          leftUs = Math.max(leftUs, sentUs) + bytes / (125 * gigabitsPerSecond);
          const arrivesUs = link.arrivalUs(sentUs, bytes);
          const soonest = leftUs + latencyUs;
          expect(arrivesUs).toBeGreaterThanOrEqual(soonest - 1e-6);
          expect(arrivesUs).toBeLessThanOrEqual(Math.max(lastUs, soonest + jitterUs) + 1e-6);
          expect(arrivesUs).toBeGreaterThanOrEqual(lastUs);
          lastUs = arrivesUs;
        }
      }),
    );
  });

  it('gives the same times for the same seed and direction, and others for another', () => {
    const timesOf = (seed: number, direction: number): number[] => {
      const link = new LinkModel({ latencyUs: 5, jitterUs: 1000, seed }, direction);
      return Array.from({ length: 20 }, (_, index) => link.arrivalUs(index * 10_000, 1));
    };
    expect(timesOf(4, 1)).toEqual(timesOf(4, 1));
    expect(timesOf(4, 1)).not.toEqual(timesOf(5, 1));
    expect(timesOf(4, 1)).not.toEqual(timesOf(4, 2));
    const jitters = timesOf(4, 1).map((time, index) => time - index * 10_000 - 5);
    const mean = jitters.reduce((sum, jitter) => sum + jitter, 0) / jitters.length;
    expect(mean).toBeGreaterThan(250);
    expect(mean).toBeLessThan(750);
  });
});

it('counts each token with a route to a rank once', () => {
  const expertRanks = Int32Array.from([0, 0, 1, 0, -1, -1, 1, 1]);
  const count = (tokens: number, rank: number) =>
    tokensWithRoute(expertRanks, { tokens, topK: 2 }, rank);
  expect([count(4, 0), count(4, 1), count(4, 2), count(1, 1)]).toEqual([2, 2, 0, 0]);
});

it.each([
  [{ latencyUs: -1 }, 'latencyUs'],
  [{ latencyUs: Number.NaN }, 'latencyUs'],
  [{ latencyUs: 1, jitterUs: Infinity }, 'jitterUs'],
  [{ latencyUs: 1, gigabitsPerSecond: 0 }, 'gigabitsPerSecond'],
  [{ latencyUs: 1, seed: 0.5 }, 'seed'],
])('the link %j is refused by name', (link, field) => {
  expect(() => {
    checkEmulatedLink(link);
  }).toThrow(`emulatedLink.${field}`);
});
