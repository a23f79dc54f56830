import { buildModelGraph, openCheckpoint } from '@megascale/core';
import type { AblationRequest, BenchReport } from '../suite.js';
import { BenchModel } from '../model/bench-model.js';
import { withMadeModel } from '../model/made-models.js';
import { decodeFigures } from '../measure/figures.js';
import { randomPrompts } from '../model/random-prompts.js';
import { percentile, spreadOf } from '../measure/spread.js';
import { ablationChart } from './ablation-chart.js';
import { ablationText } from './ablation-report.js';
import { kvCapacityRatio, modelBytes } from './device-memory.js';
import { gainsOf } from './gains.js';
import { ablationVariants, type Variant } from './variants.js';
import type { AblationRow } from './ablation-row.js';

/**
 * A KV pool may come out many times larger; more sequences than this many times the batch are not
 * run.
 */
const capacityMax = 4;

type Target = AblationRequest & { readonly directory: string; readonly modelName: string };

/**
 * The paper's ablation on one model and machine: colocated against cut, m, joined steps, transport,
 * placement, KV memory. All deployments are loaded at once and run in turns, so that a machine that
 * drifts slows all of them.
 *
 * @throws BenchError, and what loading the model throws.
 */
export async function benchAblation(request: AblationRequest): Promise<BenchReport> {
  const { directory } = request;
  if (directory !== undefined) return ablate({ ...request, directory, modelName: directory });
  return withMadeModel('mixtral-like', (made) =>
    ablate({ ...request, directory: made, modelName: 'a random model like Mixtral' }),
  );
}

async function ablate(request: Target): Promise<BenchReport> {
  const graph = buildModelGraph(openCheckpoint(request.directory).config);
  const { attentionWorkers = 1, expertWorkers = 1 } = request.options;
  const bytes = modelBytes(graph);
  const kvBytes = request.batch * (request.promptTokens + request.outputTokens) * bytes.kvPerToken;
  const capacity = kvCapacityRatio({ attentionWorkers, expertWorkers }, bytes, kvBytes);
  const capacityBatch = Math.max(1, Math.floor(request.batch * Math.min(capacity, capacityMax)));
  const variants = ablationVariants({ ...request, capacityBatch });
  const rows = await measure(request, variants, graph.sizes.vocabSize);
  const result = {
    benchmark: 'ablation',
    model: request.modelName,
    options: request.options,
    batch: request.batch,
    promptTokens: request.promptTokens,
    outputTokens: request.outputTokens,
    runs: request.runs,
    kvCapacityRatio: capacity,
    capacityBatch,
    rows,
    gains: gainsOf(rows),
  };
  return { document: result, text: ablationText(result), chart: ablationChart(result) };
}

async function measure(
  request: Target,
  variants: readonly Variant[],
  vocabSize: number,
): Promise<AblationRow[]> {
  const models: BenchModel[] = [];
  try {
    for (const { name, options, batch } of variants) {
      request.signal?.throwIfAborted();
      request.onProgress?.(`loading: ${name}`);
      models.push(await BenchModel.load(request.directory, options, { ...request, batch }));
    }
    const runs = variants.map((): { rate: number; stepMs: number }[] => []);
    for (let round = 0; round <= request.runs; round += 1) {
      request.onProgress?.(
        round === 0 ? 'warming up' : `run ${String(round)} of ${String(request.runs)}`,
      );
      for (const index of inTurns(variants.length, round)) {
        const [model, variant] = [models[index], variants[index]];
        if (model === undefined || variant === undefined) continue;
        const { batch } = variant;
        const prompts = randomPrompts({
          count: batch,
          tokens: request.promptTokens,
          vocabSize,
          seed: request.seed,
        });
        await model.record();
        await model.run(prompts, request.outputTokens, request.signal);
        const { tokensPerSecond, timesMs } = decodeFigures(await model.takeProfiles());
        if (round > 0)
          runs[index]?.push({ rate: tokensPerSecond, stepMs: percentile(timesMs, 50) });
      }
    }
    return variants.map((variant, index) => rowOf(variant, runs[index] ?? [], runs[0] ?? []));
  } finally {
    await Promise.all(models.map((model) => model.close()));
  }
}

/**
 * 0 … count − 1, forwards and backwards in turn: a later one finds the machine as the others
 * left it.
 */
function inTurns(count: number, round: number): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  return round % 2 === 0 ? order : order.reverse();
}

function rowOf(
  { name, question, microBatches, batch }: Variant,
  runs: readonly { readonly rate: number; readonly stepMs: number }[],
  baseline: readonly { readonly rate: number; readonly stepMs: number }[],
): AblationRow {
  const over = (pick: (run: { rate: number; stepMs: number }) => number): number[] =>
    runs.map((run, round) => pick(run) / pick(baseline[round] ?? run));
  return {
    name,
    question,
    microBatches,
    batch,
    tokensPerSecond: spreadOf(runs.map(({ rate }) => rate)),
    ratio: spreadOf(over(({ rate }) => rate)),
    stepTimeRatio: spreadOf(over(({ stepMs }) => stepMs)).median,
  };
}
