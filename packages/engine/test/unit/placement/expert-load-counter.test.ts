import { describe, expect, it } from 'vitest';
import {
  ExpertLoadCounter,
  type ExpertLoadCounterOptions,
} from '../../../src/placement/expert-load-counter.js';

function counter() {
  const told: Parameters<ExpertLoadCounterOptions['send']>[0][] = [];
  const send = (message: (typeof told)[number]): void => {
    told.push(message);
  };
  return {
    told,
    loads: new ExpertLoadCounter({ layerCount: 2, expertCount: 3, windowUs: 100, send }),
  };
}

describe('ExpertLoadCounter', () => {
  it('reports the rows of each layer and expert once a window is over, and begins anew', () => {
    const { told, loads } = counter();
    loads.count(0, Int32Array.of(2, 0, 2, 9), 3, 10);
    loads.count(1, Int32Array.of(1, -1, 1), 3, 10);
    loads.count(0, Int32Array.of(0), 1, 60);
    loads.report(109);
    expect(told).toEqual([]);
    loads.report(110);
    loads.count(1, Int32Array.of(0), 1, 120);
    loads.report(220);
    expect(
      told.map(({ rows, dispatches, durationUs }) => [[...rows], dispatches, durationUs]),
    ).toEqual([
      [[2, 0, 2, 0, 2, 0], 2, 100],
      [[0, 0, 0, 1, 0, 0], 0, 100],
    ]);
  });

  it('tells at once when no step may follow, but nothing of nothing', () => {
    const { told, loads } = counter();
    loads.report(5, true);
    expect(told).toEqual([]);
    loads.count(0, Int32Array.of(1), 1, 10);
    loads.report(12, true);
    expect(told).toHaveLength(1);
    loads.report(500, true);
    expect(told).toHaveLength(1);
  });
});
