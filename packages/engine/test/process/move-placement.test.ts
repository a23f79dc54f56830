import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildModelGraph, openCheckpoint } from '@megascale/core';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LLM, type LlmOptions, type MoveReport } from '../../dist/index.js';
import { eventKind } from '../../src/recorder/flight-recorder.js';
import { randomPlacement } from '../support/random-placement.js';
import { dictionary, mixedRequests, runRequests } from '../support/run-requests.js';

const { sizes } = buildModelGraph(openCheckpoint(dictionary).config);
const { expertCount, layerCount, topK } = sizes;
const requests = mixedRequests(24, sizes.vocabSize);

const open: LLM[] = [];

async function load(options: LlmOptions, directory = dictionary): Promise<LLM> {
  const llm = await LLM.load(directory, { threads: 1, ...options });
  open.push(llm);
  return llm;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((llm) => llm.close()));
});

const tokensOf = async (llm: LLM): Promise<(readonly number[])[]> =>
  (await runRequests(llm, requests)).map(({ tokens }) => tokens);

/** Rows that all expert workers computed, over all layers. */
async function rowsComputed(llm: LLM): Promise<number> {
  let rows = 0;
  for (const { role, recording } of await llm.recordings()) {
    if (role !== 'expert') continue;
    expect(recording.lost).toBe(0);
    for (const [index, kind] of recording.kinds.entries()) {
      if (kind === eventKind.experts) rows += recording.sizes[index] ?? 0;
    }
  }
  return rows;
}

let expected: (readonly number[])[];
beforeAll(async () => {
  const llm = await LLM.load(dictionary, { colocated: true, microBatches: 1, threads: 1 });
  expected = await tokensOf(llm);
  await llm.close();
});

describe('experts move while requests run', () => {
  const cases: (LlmOptions & { moves: number })[] = [
    { transport: 'shm', attentionWorkers: 2, expertWorkers: 3, microBatches: 3, moves: 8 },
    {
      transport: 'shm',
      attentionWorkers: 2,
      expertWorkers: 2,
      gather: { type: 'lockstep' },
      moves: 6,
    },
    { transport: 'shm', expertWorkers: 4, expertReplicas: 2, overlapSteps: false, moves: 4 },
    { transport: 'tcp', attentionWorkers: 2, expertWorkers: 3, moves: 4 },
  ];
  it.each(cases)(
    'the same tokens, every pair computed once: $transport, $attentionWorkers × $expertWorkers',
    async ({ moves, ...options }) => {
      const llm = await load({ ...options, recorderEvents: 1 << 18 });
      const reports: MoveReport[] = [];
      const state = { isMoving: true };
      const move = async (): Promise<void> => {
        for (let seed = 1; seed <= moves; seed++) {
          reports.push(
            await llm.movePlacement(
              randomPlacement({ expertCount, layerCount }, seed, options.expertWorkers ?? 1),
            ),
          );
        }
      };
      const moved = move().finally(() => (state.isMoving = false));
      do expect(await tokensOf(llm)).toEqual(expected);
      while (state.isMoving);
      await moved;

      expect(reports.map(({ epoch }) => epoch)).toEqual(reports.map((_, index) => index + 1));
      expect(
        reports.every(({ expertsLoaded, bytesMoved }) => expertsLoaded > 0 === bytesMoved > 0),
      ).toBe(true);
      const last = {
        epoch: moves,
        placement: randomPlacement({ expertCount, layerCount }, moves, options.expertWorkers ?? 1),
      };
      expect(llm.placement()).toEqual({ ...last, moving: false });
      const { computedTokensTotal } = await llm.stats();
      expect(await rowsComputed(llm)).toBe(computedTokensTotal * topK * layerCount);
    },
    120_000,
  );

  it('serves on while loading is slow, and a lost worker leaves the placement in force', async () => {
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
