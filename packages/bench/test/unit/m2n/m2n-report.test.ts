import { describe, expect, it } from 'vitest';
import { m2nChart } from '../../../src/m2n/m2n-chart.js';
import type { M2nFigures } from '../../../src/m2n/m2n-figures.js';
import { figuresOfRounds, type M2nPoint } from '../../../src/m2n/m2n-point.js';
import { m2nText, sizeText } from '../../../src/m2n/m2n-report.js';

function figures(us: number, gigabytesPerSecond = 10): M2nFigures {
  const times = { p50: us, p99: 2 * us, p999: 3 * us };
  return { latencyUs: times, dispatchUs: times, roundTripUs: times, gigabytesPerSecond };
}

const point = (bytes: number): M2nPoint => ({
  senders: 1,
  receivers: 2,
  bytes,
  ours: figuresOfRounds([figures(bytes / 1000)]),
  baselines: {
    openmpi: { variant: 'persistent', ...figuresOfRounds([figures(bytes / 500)]) },
    grpc: { absent: 'apt install libgrpc++-dev' },
    ucx: { failed: 'it ended with 1' },
  },
});

it('takes medians over the rounds, figure by figure, and says how far they lay apart', () => {
  const rounds = [figures(5, 1), figures(1, 9), figures(3, 2)];
  expect(figuresOfRounds(rounds)).toEqual({
    latencyUs: { p50: 3, p99: 6, p999: 9 },
    latencyP50Us: { min: 1, median: 3, max: 5 },
    dispatchUs: { p50: 3, p99: 6, p999: 9 },
    roundTripUs: { p50: 3, p99: 6, p999: 9 },
    gigabytesPerSecond: 2,
  });
});

it('names sizes', () => {
  expect([64, 2048, 262_144, 8 << 20].map(sizeText)).toEqual(['64 B', '2 KiB', '256 KiB', '8 MiB']);
});

it('prints a row of each contender, with what is missing and the ratio', () => {
  const text = m2nText({ transport: 'shm', rounds: 3, points: [point(2048)] });
  expect(text).toContain('2 KiB from each of 1 to each of 2');
  expect(text).toMatch(/shm +2\.05 \/ 4\.10 \/ 6\.14/);
  expect(text).toMatch(/openmpi +4\.10 .* 0\.50\n/);
  expect(text).toContain('not here: apt install libgrpc++-dev');
  expect(text).toContain('failed: it ended with 1');
});

describe('the chart', () => {
  const chart = m2nChart({
    transport: 'shm',
    points: [2048, 65536, 1 << 20].map(point),
  });

  it('has a line through every figure there is, and none for what is missing', () => {
    expect(chart.startsWith('<svg ')).toBe(true);
    // Two panels, two contenders with figures, three sizes.
    expect(chart.match(/<circle /g)).toHaveLength(2 * 2 * 3);
    expect(chart).not.toContain('NaN');
    expect(chart).toContain('>shm<');
  });

  it('draws more time higher', () => {
    const heights = [...chart.matchAll(/<circle cx="[\d.]+" cy="([\d.]+)"/g)].map(([, y]) =>
      Number(y),
    );
    expect(heights[0]).toBeGreaterThan(heights[2] ?? 0);
  });
});
