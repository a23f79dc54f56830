import type { BenchRequest, BenchTarget } from '../suite.js';
import type { WorkerProfile } from '@megascale/engine';
import type { ForkJoin } from '@megascale/core';
import { BenchModel, totalThreads } from './bench-model.js';
import { Bounds } from '../measure/bounds.js';
import type { RunFigures } from '../measure/figures.js';
import { workerMemory, type WorkerMemory } from '../measure/process-memory.js';
import { randomPrompts } from './random-prompts.js';

/** One bound and the runs measured right after it. */
export interface Round {
  readonly bandwidth: number;
  readonly gemmFlopsPerSecond: number;
  readonly instructionFlopsPerSecond: number;
  readonly main: RunFigures;
  readonly against?: RunFigures;
}

export interface Rounds {
  readonly rounds: readonly Round[];
  readonly threads: number;
  readonly model: BenchModel;
  readonly against: BenchModel | undefined;
  readonly forkJoin: ForkJoin;
  readonly instruction: string;
  readonly boundBytes: number;
  readonly memory: readonly WorkerMemory[];
  /** Of the last run. */
  readonly profiles: readonly WorkerProfile[];
}

/** Turns one run's profiles into figures; times are of the request's clock. */
export type Reading = (
  profiles: readonly WorkerProfile[],
  time: { readonly startUs: number; readonly endUs: number },
) => RunFigures;

/**
 * Bound, model, bound, model …: a machine that drifts slows both. The first run of each model warms
 * it up and is not counted.
 */
export async function runRounds(request: BenchRequest, read: Reading): Promise<Rounds> {
  const model = await openTarget(request, request);
  try {
    const against = request.against && (await openTarget(request.against, request));
    try {
      return await measure(request, read, model, against);
    } finally {
      await against?.close();
    }
  } finally {
    await model.close();
  }
}

async function openTarget(target: BenchTarget, request: BenchRequest): Promise<BenchModel> {
  request.signal?.throwIfAborted();
  request.onProgress?.(`loading ${target.directory}`);
  return BenchModel.load(target.directory, target.options, request);
}

async function measure(
  request: BenchRequest,
  read: Reading,
  model: BenchModel,
  against: BenchModel | undefined,
): Promise<Rounds> {
  const { backend, isa } = model.llm.info;
  const threads = totalThreads(model);
  const bounds = await Bounds.open({ backend, isa, threads, byteLength: request.boundBytes });
  try {
    const forkJoin = bounds.machine.forkJoin();
    await runOnce(model, request, read);
    if (against !== undefined) await runOnce(against, request, read);
    const rounds: Round[] = [];
    let instruction = '';
    let profiles: readonly WorkerProfile[] = [];
    for (let round = 1; round <= request.runs; round += 1) {
      request.onProgress?.(`run ${String(round)} of ${String(request.runs)}`);
      const bandwidth = bounds.readBandwidth();
      const peak = bounds.machine.multiplyPeak();
      instruction = peak.instruction;
      // The second run finds the machine as the first one left it, so they take turns.
      const second =
        round % 2 === 0 && against !== undefined
          ? await runOnce(against, request, read)
          : undefined;
      const first = await runOnce(model, request, read);
      const other = second ?? (against && (await runOnce(against, request, read)));
      profiles = first.profiles;
      rounds.push({
        bandwidth,
        gemmFlopsPerSecond: peak.gemmFlopsPerSecond,
        instructionFlopsPerSecond: peak.instructionFlopsPerSecond,
        main: first.figures,
        ...(other === undefined ? {} : { against: other.figures }),
      });
    }
    const memory = workerMemory(profiles);
    const boundBytes = bounds.byteLength;
    return { rounds, threads, model, against, forkJoin, instruction, boundBytes, memory, profiles };
  } finally {
    bounds.close();
  }
}

async function runOnce(
  model: BenchModel,
  request: BenchRequest,
  read: Reading,
): Promise<{ readonly figures: RunFigures; readonly profiles: readonly WorkerProfile[] }> {
  const { batch, promptTokens, outputTokens, seed, clock, signal } = request;
  const { vocabSize } = model.llm.info;
  const prompts = randomPrompts({ count: batch, tokens: promptTokens, vocabSize, seed });
  await model.record();
  const startUs = clock.nowUs();
  await model.run(prompts, outputTokens, signal);
  const endUs = clock.nowUs();
  const profiles = await model.takeProfiles();
  return { figures: read(profiles, { startUs, endUs }), profiles };
}
