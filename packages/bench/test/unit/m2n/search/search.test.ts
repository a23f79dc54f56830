import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomWords } from '../../../../src/model/random-prompts.js';
import { fitLine } from '../../../../src/m2n/search/line-fit.js';
import { hasFeatures, minimalFeatures } from '../../../../src/m2n/search/minimal-features.js';
import { searchAnomalies } from '../../../../src/m2n/search/search-anomalies.js';
import {
  mutate,
  randomPoint,
  type Level,
  type Point,
  type Random,
  type Space,
} from '../../../../src/m2n/search/space.js';

const space: Space = {
  dimensions: [
    { name: 'transport', levels: ['a', 'b', 'c'], isOrdered: false },
    { name: 'senders', levels: [1, 2, 4], isOrdered: true },
    { name: 'bytes', levels: [1, 16, 256, 4096, 65536], isOrdered: true },
    { name: 'skew', levels: [false, true], isOrdered: false },
    { name: 'slots', levels: [1, 2, 4, 8], isOrdered: true },
  ],
  // Some corner is out of reach, as memory is.
  allows: ({ senders, bytes }) => Number(senders) * Number(bytes) < 4 * 65536,
};

function randomOf(seed: number): Random {
  const next = randomWords(seed);
  return () => next() / 2 ** 32;
}

/** What makes a system slow, and by how much. */
interface Plant {
  readonly conditions: readonly {
    readonly dimension: string;
    readonly isMet: (level: Level) => boolean;
  }[];
  readonly slowdown: number;
}

/** A system that follows its model but for the plants, with some noise. */
function systemOf(plants: readonly Plant[], random: Random) {
  const seen: Point[] = [];
  const measure = (point: Point) => {
    seen.push(point);
    const excess = plants
      .filter(({ conditions }) =>
        conditions.every(({ dimension, isMet }) => isMet(point[dimension] ?? '')),
      )
      .reduce((product, { slowdown }) => product * slowdown, 0.9 + 0.2 * random());
    return Promise.resolve({ excess, figure: 'latency' });
  };
  return { measure, seen };
}

const big = { dimension: 'bytes', isMet: (level: Level) => Number(level) >= 256 };
const few = { dimension: 'slots', isMet: (level: Level) => Number(level) <= 2 };
const skewed = { dimension: 'skew', isMet: (level: Level) => level === true };
const overB = { dimension: 'transport', isMet: (level: Level) => level === 'b' };
const many = { dimension: 'senders', isMet: (level: Level) => Number(level) >= 2 };

describe('the search', () => {
  it.each([
    ['one feature', [big]],
    ['two features', [few, skewed]],
    ['three features', [overB, many, skewed]],
  ])('finds a planted anomaly of %s and names those alone', async (_, conditions) => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = randomOf(seed);
        const { measure, seen } = systemOf([{ conditions, slowdown: 5 }], random);
        const found = await searchAnomalies({
          space,
          measure,
          factor: 2,
          random,
          mayGoOn: () => seen.length < 600,
        });
        expect(found).toHaveLength(1);
        expect(found[0]?.features.map(({ dimension }) => dimension).sort()).toEqual(
          conditions.map(({ dimension }) => dimension).sort(),
        );
        for (const { dimension, level, instead } of found[0]?.features ?? []) {
          const planted = conditions.find((condition) => condition.dimension === dimension);
          expect(planted?.isMet(level)).toBe(true);
          expect(planted?.isMet(instead.level)).toBe(false);
          expect(instead.excess).toBeLessThan(2);
        }
        expect(found[0]?.excess).toBeGreaterThan(4);
      }),
      { numRuns: 30 },
    );
  });

  it('gives the edge of a range, not the point where it was met', async () => {
    const { measure } = systemOf([{ conditions: [big, few], slowdown: 9 }], () => 0.5);
    const judge = async (point: Point) => {
      const { excess } = await measure(point);
      return { excess, isAnomalous: excess > 2 };
    };
    const start = { transport: 'a', senders: 1, bytes: 65536, skew: false, slots: 1 };
    expect(await minimalFeatures(space, start, judge)).toMatchObject([
      { dimension: 'bytes', relation: 'atLeast', level: 256, instead: { level: 1 } },
      { dimension: 'slots', relation: 'atMost', level: 2, instead: { level: 8 } },
    ]);
  });

  it('tells two planted anomalies apart and meets no point of a known one again', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = randomOf(seed);
        const plants = [
          { conditions: [overB, few], slowdown: 6 },
          {
            conditions: [
              skewed,
              { dimension: 'transport', isMet: (level: Level) => level === 'c' },
            ],
            slowdown: 4,
          },
        ];
        const { measure, seen } = systemOf(plants, random);
        const lengths: number[] = [];
        const found = await searchAnomalies({
          space,
          measure,
          factor: 2,
          random,
          mayGoOn: () => seen.length < 900,
          onAnomaly: () => lengths.push(seen.length),
        });
        expect(found).toHaveLength(2);
        const [first] = found;
        const later = seen.slice(lengths[1]);
        expect(later.filter((point) => hasFeatures(point, first?.features ?? []))).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  it('finds nothing where there is nothing, however long', async () => {
    const random = randomOf(3);
    const { measure, seen } = systemOf([], random);
    const mayGoOn = () => seen.length < 2000;
    expect(await searchAnomalies({ space, measure, factor: 1.5, random, mayGoOn })).toEqual([]);
  });

  it('ends when everything is slow: one anomaly without a feature', async () => {
    const random = randomOf(4);
    const { measure } = systemOf([{ conditions: [], slowdown: 3 }], random);
    const found = await searchAnomalies({ space, measure, factor: 2, random, mayGoOn: () => true });
    expect(found.map(({ features }) => features)).toEqual([[]]);
  });
});

describe('points', () => {
  it('are of the space, and a mutation changes one dimension', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = randomOf(seed);
        const point = randomPoint(space, random, () => true) ?? {};
        const next = mutate(space, point, random, () => true) ?? {};
        for (const each of [point, next]) {
          expect(space.allows(each)).toBe(true);
          for (const { name, levels } of space.dimensions) expect(levels).toContain(each[name]);
        }
        const changed = space.dimensions.filter(({ name }) => point[name] !== next[name]);
        expect(changed).toHaveLength(1);
      }),
    );
  });

  it('are none where nothing is accepted', () => {
    expect(randomPoint(space, randomOf(1), () => false)).toBeUndefined();
  });
});

describe('fitLine', () => {
  it('finds the line that samples lie on, at any scale', () => {
    const positive = fc.double({ min: 1e-3, max: 1e3, noNaN: true });
    fc.assert(
      fc.property(positive, positive, (alpha, beta) => {
        const samples = [1, 30, 1000, 50_000].map((x) => ({ x, y: alpha + beta * x }));
        const line = fitLine(samples);
        for (const { x, y } of samples) {
          expect((line.alpha + line.beta * x) / y).toBeCloseTo(1, 5);
        }
      }),
    );
  });

  it('has no negative time', () => {
    expect(
      fitLine([
        { x: 1, y: 5 },
        { x: 10, y: 1 },
      ]).beta,
    ).toBe(0);
    expect(
      fitLine([
        { x: 10, y: 1 },
        { x: 11, y: 5 },
      ]).alpha,
    ).toBe(0);
    expect(fitLine([{ x: 7, y: 3 }])).toEqual({ alpha: 3, beta: 0 });
  });
});
