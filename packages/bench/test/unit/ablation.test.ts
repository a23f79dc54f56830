import { buildModelGraph, openCheckpoint } from '@megascale/core';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ablationChart } from '../../src/ablation/ablation-chart.js';
import type { AblationRow } from '../../src/ablation/ablation-row.js';
import { ablationText, type AblationResult } from '../../src/ablation/ablation-report.js';
import { kvCapacityRatio, modelBytes } from '../../src/ablation/device-memory.js';
import { gainsOf, verdict } from '../../src/ablation/gains.js';
import { ablationVariants } from '../../src/ablation/variants.js';

const directory = fileURLToPath(new URL('../../../../models/dictionary', import.meta.url));

const row = (
  name: string,
  question: AblationRow['question'],
  microBatches: number,
  ratio: number,
): AblationRow => ({
  name,
  question,
  microBatches,
  batch: 8,
  stepTimeRatio: 1 / ratio,
  tokensPerSecond: { min: ratio, median: 100 * ratio, max: ratio },
  ratio: { min: ratio, median: ratio, max: ratio },
});

const rows = (cut: number, two: number, three: number, capacity: number): AblationRow[] => [
  row('colocated, 2 workers', 'baseline', 1, 1),
  row('cut, m = 1', 'cut', 1, cut),
  row('cut, m = 2', 'micro-batches', 2, two),
  row('cut, m = 3', 'micro-batches', 3, three),
  row('m = 2, 16 sequences', 'kv-capacity', 2, capacity / 2),
  row('m = 3, 16 sequences', 'kv-capacity', 3, capacity),
];

describe('the memory of an ablation', () => {
  it('holds as much with and without the experts as their weights leave', () => {
    // Two devices of 100 + 50 each; an attention worker holds 20 of weights, so 130 of keys and
    // values.
    const bytes = { weights: 100, expertWeights: 80, kvPerToken: 1 };
    expect(kvCapacityRatio({ attentionWorkers: 1, expertWorkers: 1 }, bytes, 100)).toBe(1.3);
    // With more keys and values than weights, the expert worker's memory is missed.
    expect(kvCapacityRatio({ attentionWorkers: 1, expertWorkers: 1 }, bytes, 1000)).toBe(0.58);
  });

  it('is counted from the graph', () => {
    const { weights, expertWeights, kvPerToken } = modelBytes(
      buildModelGraph(openCheckpoint(directory).config),
    );
    expect(weights).toBe(19_490_304);
    expect(expertWeights).toBeGreaterThan(weights / 2);
    expect(expertWeights).toBeLessThan(weights);
    expect(kvPerToken % 4).toBe(0);
  });
});

describe('the deployments of an ablation', () => {
  const shape = { batch: 8, capacityBatch: 16, microBatchesMax: 4, transports: ['shm', 'tcp'] };

  it('have equal threads, and differ from the cut one in their question', () => {
    const options = {
      attentionWorkers: 2,
      expertWorkers: 2,
      threads: 1,
      emulatedLink: { latencyUs: 9 },
    };
    const variants = ablationVariants({ ...shape, options });
    expect(variants.map(({ name }) => name)).toEqual([
      ...['colocated, 4 workers', 'colocated, 1 worker with all threads', 'cut, m = 1'],
      ...['cut, m = 2', 'cut, m = 3', 'cut, m = 4', 'm = 3, steps apart', 'm = 3 over tcp'],
      ...['m = 3, every expert on 2 workers', 'm = 1, 16 sequences', 'm = 2, 16 sequences'],
      ...['m = 3, 16 sequences', 'm = 4, 16 sequences'],
    ]);
    expect(variants[0]?.options).toEqual({
      attentionWorkers: 4,
      colocated: true,
      microBatches: 1,
      threads: 1,
    });
    for (const { question, options: own, batch } of variants) {
      if (question === 'baseline') continue;
      expect(own).toMatchObject({
        attentionWorkers: 2,
        expertWorkers: 2,
        threads: 1,
        colocated: false,
      });
      expect(batch).toBe(question === 'kv-capacity' ? 16 : 8);
    }
  });

  it('leave out a second place for each expert where there is none', () => {
    const questions = ablationVariants({ ...shape, options: {} }).map(({ question }) => question);
    expect(questions).not.toContain('placement');
  });
});

describe('the gains of an ablation', () => {
  it('multiply to the whole', () => {
    const gains = gainsOf(rows(0.8, 1.2, 1, 1.5));
    expect(gains).toMatchObject({ expertBatch: 0.8, microBatches: 3, kvCapacity: 1.5, total: 1.5 });
    expect(gains.overlap).toBeCloseTo(1.25);
    expect(verdict(gains, 8, 16)).toMatch(/^Disaggregation pays here: 1.50 ×.* m = 3/);
  });

  it('say plainly when the cut does not pay, and why', () => {
    const text = verdict(gainsOf(rows(0.6, 0.6, 0.6, 0.5)), 8, 4);
    expect(text).toMatch(/^Disaggregation does not pay here: 0.50 ×/);
    expect(text).toContain('What the cut costs is more than the larger expert batch brings');
    expect(text).toContain('hardly anything to overlap');
    expect(text).toContain('expert workers’ memory');
    expect(text).toMatch(/Run colocated\.$/);
  });
});

describe('a report of an ablation', () => {
  const result: AblationResult = {
    model: 'm',
    batch: 8,
    promptTokens: 4,
    outputTokens: 6,
    runs: 1,
    kvCapacityRatio: 2,
    capacityBatch: 16,
    rows: rows(0.8, 1.2, 1, 1.5),
    gains: gainsOf(rows(0.8, 1.2, 1, 1.5)),
  };

  it('has a line and a bar for every deployment', () => {
    const text = ablationText(result);
    const chart = ablationChart(result);
    for (const { name } of result.rows) {
      expect(text).toContain(name);
      expect(chart).toContain(name);
    }
    expect(chart.match(/<rect x=/g)).toHaveLength(result.rows.length);
    expect(text).toContain('Disaggregation pays here');
  });
});
