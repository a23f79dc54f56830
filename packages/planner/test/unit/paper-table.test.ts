import { expect, it } from 'vitest';
import { defaultAssumptions, paperSetting, paperTable } from '../../src/index.js';

const rows = paperTable();

it('has a row for every known result, each with its assumption', () => {
  expect(rows).toHaveLength(19);
  expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
  for (const row of rows) {
    expect(row.assumption.length).toBeGreaterThan(20);
    expect(row.deviationPercent).toBeCloseTo(100 * (row.ours / row.paper - 1), 9);
    if (row.id !== 'm2n-input') expect(row.sensitivity.length).toBeGreaterThan(3);
  }
});

it.each([
  'homogeneous-vllm',
  'homogeneous-tensorrt',
  'heterogeneous-tensorrt',
  'heterogeneous-watt',
  'micro-batches-1-2',
  'attention-workers-peak',
  'attention-workers-linear',
])('%s is within ten percent of the paper', (id) => {
  const row = rows.find((one) => one.id === id);
  expect(Math.abs(row?.deviationPercent ?? Infinity)).toBeLessThanOrEqual(10);
});

it('moves with its assumptions: nothing is a constant of the row', () => {
  const slower = paperTable({
    ...paperSetting,
    assumptions: { ...defaultAssumptions, memoryShare: 0.5, networkShare: 0.4 },
  });
  const moved = slower.filter((row, index) => row.ours !== rows[index]?.ours);
  expect(moved.length).toBeGreaterThan(14);
});
