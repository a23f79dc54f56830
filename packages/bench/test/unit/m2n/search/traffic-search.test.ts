import { describe, expect, it } from 'vitest';
import { searchText } from '../../../../src/m2n/search/search-report.js';
import { fitModel, loadOf, timesOf, worstOf } from '../../../../src/m2n/search/traffic-model.js';
import { spinsAlways, trafficAt, trafficSpace } from '../../../../src/m2n/search/traffic-space.js';

const traffic = { transport: 'shm', senders: 1, receivers: 1, bytes: 1000 };

describe('the load of a message', () => {
  it('is its own with one sender and one receiver', () => {
    expect(loadOf(traffic, 2)).toEqual({ messages: 1, bytes: 1000 });
  });

  it('is that of the busiest rank where there are cores enough', () => {
    expect(loadOf({ ...traffic, receivers: 4 }, 64)).toEqual({ messages: 4, bytes: 4000 });
    expect(loadOf({ ...traffic, senders: 2, receivers: 4, skew: true }, 64)).toEqual({
      messages: 4,
      bytes: 2 * (4000 - 750),
    });
  });

  it('is shared by the cores where ranks outnumber them', () => {
    expect(loadOf({ ...traffic, senders: 4, receivers: 4 }, 2)).toEqual({
      messages: 16,
      bytes: 16_000,
    });
  });
});

const figures = {
  latencyUs: { p50: 12, p99: 20, p999: 30 },
  dispatchUs: { p50: 1, p99: 2, p999: 3 },
  gigabytesPerSecond: 0.5,
};
const model = fitModel(
  [0, 1000].map((bytes) => ({
    bytes,
    times: {
      median: 2 + bytes / 100,
      P99: 4 + bytes / 50,
      'round trip': 4,
      stream: 1,
      'both ways': 1,
    },
  })),
);

it('compares each figure with its own prediction and takes the worst', () => {
  const times = timesOf(traffic, figures);
  expect(times).toEqual({ median: 12, P99: 20, stream: 2 });
  expect(worstOf(model, loadOf(traffic, 2), times)).toEqual({ excess: 2, figure: 'stream' });
});

it('reads a point as traffic, and leaves out what no machine has the memory for', () => {
  const space = trafficSpace(['shm']);
  const point = {
    transport: 'shm',
    senders: 2,
    receivers: 4,
    bytes: 2 ** 22,
    skew: true,
    slots: 8,
    bothDirections: false,
    spinUs: 50,
  };
  expect(trafficAt(point)).toEqual(point);
  expect(space.allows({ ...point, slots: 1 })).toBe(true);
  expect(space.allows({ ...point, slots: 16 })).toBe(false);
});

it('says what, by how much, what it takes and what to do instead', () => {
  const point = { transport: 'shm', bytes: 2 ** 18, skew: true, spinUs: spinsAlways };
  const common = { minutes: 1, factor: 2, seed: 3, cores: 2, points: 40, failures: [] };
  const models = new Map([['shm', model]]);
  const skew = { dimension: 'skew', relation: 'is', level: true } as const;
  const bytes = { dimension: 'bytes', relation: 'atLeast', level: 65536 } as const;
  const features = [
    { ...bytes, instead: { level: 256, excess: 1.04 } },
    { ...skew, instead: { level: false, excess: 1.2 } },
  ];
  const anomalies = [{ excess: 3.14, figure: 'P99', point, features }];
  const text = searchText({ ...common, models, anomalies });
  expect(text).toContain('P99 3.1 × the prediction when bytes ≥ 64 KiB and skew = yes');
  expect(text).toContain('instead: bytes = 256 B (1.0 ×)');
  expect(text).toContain('found at transport shm, bytes 256 KiB, skew yes, spinUs without end');
  expect(searchText({ ...common, models, anomalies: [] })).toContain('Nothing was slower');
});
