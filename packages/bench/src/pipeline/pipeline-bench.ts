import type { LlmOptions } from '@megascale/engine';
import {
  hidesTransfers,
  layerPeriodUs,
  stageTimeUs,
  stepTimeUs,
  type StageTimes,
} from '@megascale/scheduler';
import type { BenchReport, PipelineRequest } from '../suite.js';
import { buildModelGraph, openCheckpoint } from '@megascale/core';
import { measureSteps, type MeasuredSteps } from './measure-steps.js';
import { withSmallModel } from './null-model.js';
import { pipelineChart } from './pipeline-chart.js';
import { pipelineText } from './pipeline-report.js';
import { benchSkew } from './skew-bench.js';
import type { PipelinePoint, Compared, PipelineResult } from './pipeline-result.js';

/**
 * Steps of the ping-pong pipeline between real workers, beside the time that the law gives for
 * them: for several links and m at micro-batches of one size.
 *
 * @throws BenchError, and what loading the model throws.
 */
export function benchPipeline(request: PipelineRequest): Promise<BenchReport> {
  const { directory } = request;
  const run = request.skew ? benchSkew : benchLaw;
  return directory === undefined
    ? withSmallModel(request.layers, (made) => run(request, made))
    : run(request, directory);
}

async function benchLaw(request: PipelineRequest, directory: string): Promise<BenchReport> {
  const graph = buildModelGraph(openCheckpoint(directory).config);
  const layers = graph.layers.length;
  // Without a link first: of a backend that is not told how long it takes, this says what T_f is.
  const ratios = [0, ...request.ratios.filter((ratio) => ratio > 0)];
  const stageUs = request.stageUs ?? (await measuredStageUs(request, directory, layers));
  const points: PipelinePoint[] = [];
  for (const transferRatio of ratios) {
    for (let microBatches = 1; microBatches <= request.microBatchesMax; microBatches += 1) {
      request.signal?.throwIfAborted();
      request.onProgress?.(`T_c = ${String(transferRatio)} T_f, m = ${String(microBatches)}`);
      const at = { transferRatio, microBatches, transferTimeUs: transferRatio * stageUs, layers };
      points.push(await measurePoint(request, directory, at, points));
    }
  }
  const { batch, outputTokens } = request;
  const backend = request.options.backend ?? 'cpu';
  const result: PipelineResult = { backend, layers, batch, outputTokens, points };
  return {
    document: { benchmark: 'pipeline', ...result },
    text: pipelineText(result),
    chart: pipelineChart(result),
  };
}

interface At {
  readonly transferRatio: number;
  readonly microBatches: number;
  readonly transferTimeUs: number;
  readonly layers: number;
}

async function measurePoint(
  request: PipelineRequest,
  directory: string,
  at: At,
  before: readonly PipelinePoint[],
): Promise<PipelinePoint> {
  const { microBatches, transferRatio, layers } = at;
  const measure = (overlapSteps: boolean): Promise<MeasuredSteps> =>
    measureSteps(stepsRequest(request, directory, { ...at, overlapSteps }));
  const apart = await measure(false);
  const joined = await measure(true);
  const times = timesOf(request, apart, at);
  const law = stepTimeUs(times, microBatches, layers);
  const joinedTimes = timesOf(request, joined, at);
  const joinedLaw = layers * layerPeriodUs(joinedTimes, microBatches);
  const find = (ratio: number, count: number): PipelinePoint | undefined =>
    before.find((p) => p.transferRatio === ratio && p.microBatches === count);
  const fewer = find(transferRatio, microBatches - 1);
  const speedUp = (mine: number, theirs: number): number =>
    (microBatches / mine) * (theirs / (microBatches - 1));
  const hopsUs = 2 * microBatches * layers * at.transferTimeUs;
  const hidden =
    hopsUs === 0
      ? {}
      : hiddenParts(
          { hopsUs, microBatches, layers },
          { steps: joined, times: joinedTimes },
          await linkless(request, directory, at),
        );
  return {
    transferRatio,
    microBatches,
    times,
    hides: hidesTransfers(times, microBatches),
    apart: compared(apart, law),
    joined: compared(joined, joinedLaw),
    ...(fewer === undefined
      ? {}
      : {
          speedUp: {
            measured: speedUp(apart.stepUs, fewer.apart.measuredUs),
            law: speedUp(law, fewer.apart.lawUs),
          },
        }),
    ...hidden,
  };
}

interface Timed {
  readonly steps: MeasuredSteps;
  readonly times: StageTimes;
}

/** Joined steps of the same deployment with a link that takes no time. */
async function linkless(request: PipelineRequest, directory: string, at: At): Promise<Timed> {
  const without = { ...at, transferTimeUs: 0 };
  const steps = await measureSteps(
    stepsRequest(request, directory, { ...without, overlapSteps: true }),
  );
  return { steps, times: timesOf(request, steps, without) };
}

/**
 * Where a backend's own times differ between the two runs, the one without a link is taken for as
 * much above the law as it was.
 */
function hiddenParts(
  at: { readonly hopsUs: number; readonly microBatches: number; readonly layers: number },
  joined: Timed,
  without: Timed,
): { readonly hidden: number; readonly linkHidden: number } {
  const lawUs = (times: StageTimes): number =>
    at.layers * layerPeriodUs({ ...times, transferTimeUs: 0 }, at.microBatches);
  const linklessUs = lawUs(joined.times);
  const overLaw = without.steps.stepUs / lawUs(without.times);
  const part = (baseUs: number): number => 1 - (joined.steps.stepUs - baseUs) / at.hopsUs;
  return { hidden: part(linklessUs), linkHidden: part(linklessUs * overLaw) };
}

function compared({ stepUs, stepP99Us }: MeasuredSteps, lawUs: number): Compared {
  return { measuredUs: stepUs, p99Us: stepP99Us, lawUs, ratio: stepUs / lawUs };
}

/**
 * Told, or measured in the same run: the pools of one machine share its memory, and slow each other
 * when they overlap.
 */
function timesOf(request: PipelineRequest, steps: MeasuredSteps, at: At): StageTimes {
  const { transferTimeUs, layers, microBatches } = at;
  if (request.stageUs !== undefined) {
    return { attentionTimeUs: request.stageUs, expertTimeUs: request.stageUs, transferTimeUs };
  }
  const halves = layers * microBatches;
  return {
    attentionTimeUs: steps.attentionBusyUs / halves,
    expertTimeUs: (steps.expertBusyUs ?? 0) / halves,
    transferTimeUs,
  };
}

async function measuredStageUs(
  request: PipelineRequest,
  directory: string,
  layers: number,
): Promise<number> {
  const at = { transferRatio: 0, microBatches: 1, transferTimeUs: 0, layers };
  const steps = await measureSteps(stepsRequest(request, directory, { ...at, overlapSteps: true }));
  return stageTimeUs(timesOf(request, steps, at));
}

function stepsRequest(
  request: PipelineRequest,
  directory: string,
  at: At & { readonly overlapSteps: boolean },
): Parameters<typeof measureSteps>[0] {
  const { attentionWorkers = 1 } = request.options;
  const { outputTokens, seed, signal, stageUs } = request;
  const sequences = attentionWorkers * at.microBatches * request.batch;
  const options: LlmOptions = {
    threads: 1,
    gather: { type: 'lockstep' },
    ...request.options,
    microBatches: at.microBatches,
    overlapSteps: at.overlapSteps,
    colocated: false,
    ...(stageUs === undefined
      ? {}
      : { backend: 'null', backendSettings: { attendUs: stageUs, expertUs: stageUs } }),
    ...(at.transferTimeUs > 0 ? { emulatedLink: { latencyUs: at.transferTimeUs } } : {}),
  };
  const promptTokens = Array.from({ length: sequences }, () => request.promptTokens);
  return {
    directory,
    options,
    promptTokens,
    outputTokens,
    seed,
    ...(signal === undefined ? {} : { signal }),
  };
}
