import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LoadTraceReader, totalLoads } from '@megascale/scheduler';
import { expect, it } from 'vitest';
// Workers are processes started from the build.
import { LLM, type LlmEvent, type LlmOptions } from '../../dist/index.js';
import { eventKind } from '../../src/recorder/flight-recorder.js';
import { randomQwen3 } from '../support/random-checkpoint.js';
import { runRequests, type TestRequest } from '../support/run-requests.js';

const directory = randomQwen3();
const expertWorkers = 4;
const roundsMax = 200;

/**
 * Each repeats one of two tokens: all its rows meet nearly the same router, which likes a few
 * experts.
 */
const requests: TestRequest[] = Array.from({ length: 12 }, (_, index) => ({
  prompt: Array<number>(60 + index).fill(index % 3 === 0 ? 17 : 41),
  options: { maxTokens: 12, ignoreEos: true, temperature: 0 },
}));

async function tokens(llm: LLM): Promise<(readonly number[])[]> {
  return (await runRequests(llm, requests)).map((answer) => answer.tokens);
}

/**
 * Rows that each expert worker computed after `sinceUs`: busiest over mean. And when the last were.
 */
async function measured(llm: LLM, sinceUs: number): Promise<{ ratio: number; untilUs: number }> {
  const workers = (await llm.recordings()).filter(({ role }) => role === 'expert');
  let untilUs = sinceUs;
  const rows = workers.map(({ recording }) => {
    let sum = 0;
    for (const [index, kind] of recording.kinds.entries()) {
      if (kind !== eventKind.experts || (recording.startUs[index] ?? 0) <= sinceUs) continue;
      sum += recording.sizes[index] ?? 0;
      untilUs = Math.max(untilUs, recording.endUs[index] ?? 0);
    }
    return sum;
  });
  const mean = rows.reduce((sum, count) => sum + count, 0) / expertWorkers;
  return { ratio: Math.max(...rows) / mean, untilUs };
}

it('experts follow the traffic while requests run: imbalance falls, and no token changes', async () => {
  const common: LlmOptions = { threads: 1, prefixSharing: false, recorderEvents: 1 << 16 };
  const colocated = await LLM.load(directory, { ...common, colocated: true });
  const expected = await tokens(colocated);
  await colocated.close();

  const folder = mkdtempSync(join(tmpdir(), 'megascale-rebalance-'));
  const file = join(folder, 'loads');
  const events: LlmEvent[] = [];
  const llm = await LLM.load(
    directory,
    {
      ...common,
      attentionWorkers: 2,
      expertWorkers,
      expertLoadFile: file,
      expertLoadWindowMs: 50,
      rebalance: { intervalMs: 400, margin: 0.05, spareExperts: 1, moveBytesMax: 130_000 },
    },
    { onEvent: (event) => events.push(event) },
  );
  const moved = (): number => events.filter(({ type }) => type === 'experts-moved').length;
  try {
    expect(await tokens(llm)).toEqual(expected);
    const before = await measured(llm, 0);
    let quiet = 0;
    for (let round = 0; round < roundsMax && quiet < 20; round++) {
      const moves = moved();
      expect(await tokens(llm)).toEqual(expected);
      quiet = moved() > 0 && moved() === moves ? quiet + 1 : 0;
    }
    expect(moved()).toBeGreaterThan(0);
    const { untilUs } = await measured(llm, 0);
    expect(await tokens(llm)).toEqual(expected);
    const after = await measured(llm, untilUs);
    const { experts, state } = await llm.stats();
    const predicted = events.flatMap((event) => {
      if (event.type !== 'experts-moved') return [];
      const { before: from, after: to } = event.move;
      const rows = `${from.rows.toFixed(3)} → ${to.rows.toFixed(3)}`;
      return [`${rows} (cost ${from.cost.toFixed(3)} → ${to.cost.toFixed(3)})`];
    });
    console.log(
      `rows of the busiest of ${expertWorkers} over the mean: ${before.ratio.toFixed(3)} before, ` +
        `${after.ratio.toFixed(3)} after ${moved()} moves of ${experts?.movedBytesTotal} bytes ` +
        `in all; by layer, predicted: ${predicted.join(' ')}`,
    );
    expect(state).toBe('ready');
    expect(events.filter(({ type }) => type === 'experts-not-moved')).toEqual([]);
    expect(experts?.movesTotal).toBe(moved());
    expect(after.ratio).toBeLessThan(before.ratio);
    expect(experts?.lastMove?.after.worst).toBeLessThan(experts?.lastMove?.before.worst ?? 0);
  } finally {
    await llm.close();
  }
  const reader = new LoadTraceReader(readFileSync(file));
  rmSync(folder, { recursive: true });
  expect(reader.header).toEqual({ layerCount: 4, expertCount: 16, topK: 4 });
  const loads = totalLoads(reader.header, reader.windows());
  const ofLayers = [0, 1, 2, 3].map((layer) =>
    Array.from(loads.rows).slice(layer * 16, (layer + 1) * 16),
  );
  const sums = ofLayers.map((rows) => rows.reduce((sum, count) => sum + count, 0));
  // Every token goes to four experts of every layer.
  expect(new Set(sums).size).toBe(1);
  expect((sums[0] ?? 0) % 4).toBe(0);
}, 120_000);
