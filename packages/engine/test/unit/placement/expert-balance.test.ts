import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Placement } from '@megascale/core';
import { LoadTraceReader } from '@megascale/scheduler';
import { describe, expect, it } from 'vitest';
import { ExpertBalance, type ExpertBalanceOptions } from '../../../src/placement/expert-balance.js';
import { LoadTraceFile } from '../../../src/placement/load-trace-file.js';

const header = { layerCount: 1, expertCount: 4, topK: 1 };
const even = [[[0], [0], [1], [1]]] as unknown as Placement;

/** Two workers, of which the first has both hot experts. */
function balance(options: Partial<ExpertBalanceOptions> = {}) {
  const moves: Placement[] = [];
  const state = { placement: even as Placement | undefined, nowUs: 0 };
  const made = new ExpertBalance({
    ...header,
    expertWorkers: 2,
    evenShare: 2,
    splitRowsMin: 16,
    expertBytes: 10,
    rebalance: {
      intervalMs: 86_400_000,
      margin: 0.05,
      moveBytesMax: 1000,
      spareExperts: 1,
      halfLifeMs: 1000,
    },
    trace: undefined,
    clock: { nowUs: () => (state.nowUs += 100) } as ExpertBalanceOptions['clock'],
    placement: () => state.placement,
    move: (placement) => {
      moves.push(placement);
      state.placement = placement;
      return Promise.resolve({ bytesMoved: 20 });
    },
    ...options,
  });
  const load = (...rows: number[]): void => {
    made.receive({
      type: 'expert-load-counted',
      durationUs: 50,
      dispatches: 1,
      rows: Int32Array.from(rows),
    });
  };
  return { made, moves, state, load };
}

describe('ExpertBalance', () => {
  it('moves experts when the traffic asks for it, once, and says what that brings', async () => {
    const { made, moves, load } = balance();
    load(500, 500, 10, 10);
    await made.rebalance();
    expect(moves).toHaveLength(1);
    expect(made.stats).toMatchObject({ movesTotal: 1, movedBytesTotal: 20 });
    expect(made.stats.lastMove?.before.rows).toBeGreaterThan(1.9);
    expect(made.stats.imbalance?.rows).toBeLessThan(1.1);
    await made.rebalance();
    expect(moves).toHaveLength(1);
    made.close();
  });

  it('moves nothing without traffic, during another move, or once it is closed', async () => {
    const { made, moves, state, load } = balance();
    await made.rebalance();
    load(500, 500, 10, 10);
    state.placement = undefined;
    await made.rebalance();
    state.placement = even;
    made.close();
    await made.rebalance();
    expect(moves).toEqual([]);
  });

  it('goes on when a move fails, and says why', async () => {
    const failures: Error[] = [];
    const { made, load } = balance({
      move: () => Promise.reject(new Error('no memory')),
      onMoveFailed: (error) => failures.push(error),
    });
    load(500, 500, 10, 10);
    await made.rebalance();
    await made.rebalance();
    expect(failures.map(({ message }) => message)).toEqual(['no memory', 'no memory']);
    expect(made.stats.movesTotal).toBe(0);
    made.close();
  });

  it('records what it hears, up to so many bytes', () => {
    const directory = mkdtempSync(join(tmpdir(), 'megascale-trace-'));
    const file = join(directory, 'loads');
    const trace = new LoadTraceFile(file, header, 60);
    const { made, load } = balance({ rebalance: undefined, trace });
    for (let count = 1; count < 10; count++) load(count, 0, 0, 300);
    expect(trace.state).toBe('full');
    made.close();
    const bytes = readFileSync(file);
    rmSync(directory, { recursive: true });
    expect(bytes.length).toBeLessThanOrEqual(60);
    const windows = [...new LoadTraceReader(bytes).windows()];
    expect(windows.length).toBeGreaterThan(1);
  });

  it('refuses a file that cannot be made', () => {
    expect(() => new LoadTraceFile('/nowhere/at/all', header, 60)).toThrow('expertLoadFile');
  });
});
