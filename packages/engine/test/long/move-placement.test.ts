import { describe, expect, it } from 'vitest';
import {
  expected,
  expertCount,
  layerCount,
  load,
  testMoves,
  tokensOf,
} from '../support/moving-experts.js';
import { randomPlacement } from '../support/random-placement.js';

describe('experts move while requests run', () => {
  testMoves([
    {
      transport: 'shm',
      attentionWorkers: 2,
      expertWorkers: 2,
      gather: { type: 'lockstep' },
      moves: 6,
    },
    { transport: 'shm', expertWorkers: 4, expertReplicas: 2, overlapSteps: false, moves: 4 },
    { transport: 'tcp', attentionWorkers: 2, expertWorkers: 3, moves: 4 },
  ]);

  it('serves on while loading is slow, and a lost worker leaves the placement that was in force', async () => {
    const llm = await load({ attentionWorkers: 2, expertWorkers: 2 });
    const first = llm.placement();
    // One (layer, expert) is read at once; the next ones are not due before the end of this test.
    const move = llm.movePlacement(randomPlacement({ expertCount, layerCount }, 5, 2), {
      bytesPerSecond: 1,
    });
    const outcome = move.then(
      () => 'moved',
      (error: unknown) => error,
    );
    expect(await tokensOf(llm)).toEqual(expected);
    expect(llm.placement()).toEqual({ ...first, moving: true });
    await expect(
      llm.movePlacement(randomPlacement({ expertCount, layerCount }, 6, 2)),
    ).rejects.toMatchObject({
      code: 'ERR_UNAVAILABLE',
    });
    const { workers } = await llm.stats();
    process.kill(workers.find(({ role }) => role === 'expert')?.pid ?? 0, 'SIGKILL');
    expect(await outcome).toMatchObject({ code: 'ERR_PEER_CLOSED' });
    while ((await llm.stats()).state !== 'ready') await new Promise((done) => setTimeout(done, 20));
    expect(llm.placement()).toEqual(first);
    expect(await tokensOf(llm)).toEqual(expected);

    const report = await llm.movePlacement(randomPlacement({ expertCount, layerCount }, 6, 2));
    expect(report.epoch).toBe(llm.placement().epoch);
    process.kill((await llm.stats()).workers.at(-1)?.pid ?? 0, 'SIGKILL');
    while ((await llm.stats()).state === 'ready') await new Promise((done) => setTimeout(done, 20));
    while ((await llm.stats()).state !== 'ready') await new Promise((done) => setTimeout(done, 20));
    expect(llm.placement().placement, 'the newest that was complete').toEqual(
      randomPlacement({ expertCount, layerCount }, 6, 2),
    );
    expect(await tokensOf(llm)).toEqual(expected);
  }, 120_000);
});
