import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expected, layerCount, load, testMoves, tokensOf } from '../support/moving-experts.js';
import { dictionary } from '../support/run-requests.js';

describe('experts move while requests run', () => {
  testMoves([
    { transport: 'shm', attentionWorkers: 2, expertWorkers: 3, microBatches: 3, moves: 8 },
  ]);

  it('goes back when a worker cannot load its experts, and serves on', async () => {
    const copy = mkdtempSync(join(tmpdir(), 'megascale-move-'));
    cpSync(dictionary, copy, { recursive: true });
    try {
      const llm = await load({ expertWorkers: 2 }, copy);
      const first = llm.placement();
      rmSync(join(copy, 'model.safetensors'));
      const other = first.placement.map((experts) => experts.map(([rank = 0]) => [1 - rank]));
      await expect(llm.movePlacement(other)).rejects.toMatchObject({
        code: 'ERR_CHECKPOINT_MISSING',
      });
      expect(llm.placement()).toEqual({ ...first, moving: false });
      expect(await tokensOf(llm)).toEqual(expected);
    } finally {
      rmSync(copy, { recursive: true });
    }
  }, 60_000);

  it('refuses what cannot be', async () => {
    const llm = await load({ expertWorkers: 2 });
    const { placement } = llm.placement();
    const [first = []] = placement;
    const others = first.slice(1);
    const wrong: Readonly<Record<string, readonly (readonly (readonly number[])[])[]>> = {
      'placement: found 0': [],
      [`placement: found ${layerCount + 1}`]: [...placement, first],
      'placement[0]: found': [others],
      'placement[0][0]: found []': [[[], ...others]],
      'expert ranks below 2': [[[2], ...others]],
      'at most once': [[[0, 1, 0], ...others]],
    };
    for (const [part, each] of Object.entries(wrong)) {
      const refused = expect(llm.movePlacement(each)).rejects;
      await refused.toMatchObject({
        code: 'ERR_CONFIG_FIELD',
        message: expect.stringContaining(part) as string,
      });
    }
    // As a program in JavaScript may.
    await expect(llm.movePlacement(first as never)).rejects.toMatchObject({
      code: 'ERR_CONFIG_FIELD',
    });
    expect(await llm.movePlacement(placement)).toMatchObject({ epoch: 0, expertsLoaded: 0 });
    expect(await llm.movePlacement([first])).toMatchObject({ epoch: 0, expertsLoaded: 0 });

    const colocated = await load({ colocated: true });
    await expect(colocated.movePlacement(placement)).rejects.toMatchObject({
      code: 'ERR_CONFIG_FIELD',
    });
    const summing = await load({ expertWorkers: 2, combine: 'expert' });
    await expect(summing.movePlacement(placement)).rejects.toMatchObject({
      code: 'ERR_CONFIG_FIELD',
    });
  }, 60_000);
});
