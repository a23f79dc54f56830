import { buildModelGraph, openCheckpoint } from '@megascale/core';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { LLM, type LlmOptions, type MoveReport } from '../../dist/index.js';
import { eventKind } from '../../src/recorder/flight-recorder.js';
import { randomPlacement } from './random-placement.js';
import { dictionary, mixedRequests, runRequests } from './run-requests.js';

const { sizes } = buildModelGraph(openCheckpoint(dictionary).config);
export const { expertCount, layerCount, topK } = sizes;
const requests = mixedRequests(24, sizes.vocabSize);

const open: LLM[] = [];

/** Closed after the test. */
export async function load(options: LlmOptions, directory = dictionary): Promise<LLM> {
  const llm = await LLM.load(directory, { threads: 1, ...options });
  open.push(llm);
  return llm;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((llm) => llm.close()));
});

export const tokensOf = async (llm: LLM): Promise<(readonly number[])[]> =>
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

/** [requests] tokens of one colocated worker. */
export let expected: (readonly number[])[];
beforeAll(async () => {
  const llm = await LLM.load(dictionary, { colocated: true, microBatches: 1, threads: 1 });
  expected = await tokensOf(llm);
  await llm.close();
});

export interface MovingCase extends LlmOptions {
  /** Times that the experts move. */
  readonly moves: number;
}

/** Experts move as often as a case says while its requests run. */
export function testMoves(cases: readonly MovingCase[]): void {
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
}
