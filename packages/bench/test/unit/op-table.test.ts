import { describe, expect, it } from 'vitest';
import { opTable } from '../../src/model/op-table.js';
import { record, step, worker } from '../support/made-up-profiles.js';

const limits = { bytesPerSecond: 10e6, flopsPerSecond: 100e6 };
const window = { startUs: 100, endUs: 300, steps: 2 };
const attention = worker('attention', {
  steps: [
    step({ startUs: 0, endUs: 100, computeUs: 50 }),
    step({ startUs: 105, endUs: 200, computeUs: 70, waitUs: 10, dispatchUs: 3, samplingUs: 2 }),
    step({ startUs: 210, endUs: 300, computeUs: 60, waitUs: 20, dispatchUs: 2, samplingUs: 2 }),
  ],
  records: [
    record({ startUs: 110, endUs: 150, weightBytes: 300, flops: 100 }),
    record({ startUs: 215, endUs: 255, weightBytes: 300, flops: 100 }),
    record({ op: 'lmHead', startUs: 260, endUs: 300, flops: 2000 }),
    record({ op: 'lmHead', startUs: 0, endUs: 50, flops: 2000 }),
  ],
});
const expert = worker('expert', {
  records: [record({ op: 'experts', startUs: 150, endUs: 200, kvBytes: 0, weightBytes: 100 })],
});

describe('opTable', () => {
  const rows = opTable([attention, expert], window, limits);
  const row = (op: string) => rows.find((one) => one.op === op);

  it('gives each op its larger share, of the bandwidth or of the peak', () => {
    // 300 bytes in 40 µs are 7.5 MB/s; 1000 FLOPs in 20 µs are 50 MFLOP/s.
    expect(row('linear')).toMatchObject({ calls: 1, bytes: 300, flops: 100, timeUs: 40 });
    expect(row('linear')?.boundBy).toBe('bandwidth');
    expect(row('linear')?.shareOfBound).toBeCloseTo(0.75);
    expect(row('lmHead')).toMatchObject({ calls: 0.5, timeUs: 20, flops: 1000 });
    expect(row('lmHead')?.boundBy).toBe('peak');
    expect(row('lmHead')?.shareOfBound).toBeCloseTo(0.5);
  });

  it('names what is no op', () => {
    const times = Object.fromEntries(rows.map(({ op, timeUs }) => [op, timeUs]));
    expect(times).toMatchObject({
      // 130 of computing, 120 of it in ops.
      'around ops': 5,
      'waiting for experts': 15,
      dispatch: 2.5,
      'choosing tokens': 2,
      'driving the step': 185 / 2 - 65 - 15 - 2.5 - 2,
      'between steps': 7.5,
      'waiting and receiving': 75,
    });
    expect(row('dispatch')).toMatchObject({ shareOfBound: null, boundBy: null });
  });

  it('explains the whole wall time of each pool, longest first', () => {
    for (const pool of ['attention', 'expert']) {
      const own = rows.filter((one) => one.pool === pool);
      expect(own.reduce((sum, { timeUs }) => sum + timeUs, 0)).toBeCloseTo(100);
      expect(own.reduce((sum, { shareOfTime }) => sum + shareOfTime, 0)).toBeCloseTo(1);
      expect(own.map(({ timeUs }) => timeUs)).toEqual(
        own.map(({ timeUs }) => timeUs).sort((a, b) => b - a),
      );
    }
  });
});
