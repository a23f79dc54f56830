import type { OpRecord } from '@megascale/core';
import type { StepRecord, WorkerProfile } from '@megascale/engine';
import {
  medianOf,
  type AttentionSample,
  type EdgeSample,
  type ExpertSample,
} from '@megascale/planner';
import { decodeWindow } from '../model/decode-window.js';

/** One run of decode steps, taken apart. Times in microseconds. */
export interface DecodeSamples {
  /** From one step's end to the next: median over all workers' steps. */
  readonly tpotUs: number;
  readonly tokensPerSecond: number;
  /** One of each step and attention worker: of one micro-batch at one layer. */
  readonly attention: readonly AttentionSample[];
  /** One of each step and attention worker: of one micro-batch. */
  readonly edge: readonly EdgeSample[];
  /** One of each run of an expert worker. */
  readonly expert: readonly ExpertSample[];
  /** Medians over steps: what is in no half and no edge. */
  readonly stepOverheadUs: number;
  /** Of a layer: dispatching and waiting beyond the slowest expert worker's run; 0 colocated. */
  readonly handoverUs: number;
  /** The stretch of time that counts. */
  readonly window: { readonly startUs: number; readonly endUs: number };
}

/** What of the model the records are read with. */
export interface SampledModel {
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly expertWidth: number;
  readonly topK: number;
}

export interface SampledRun {
  readonly model: SampledModel;
  /** Prompt tokens of each sequence. */
  readonly promptTokens: number;
  readonly microBatches: number;
  /** Experts of each worker that has some. */
  readonly expertsPerWorker: number;
}

/** @throws BenchError where the run was too short, or longer than its records. */
export function decodeSamples(profiles: readonly WorkerProfile[], run: SampledRun): DecodeSamples {
  const window = decodeWindow(profiles);
  const inWindow = ({ startUs, endUs }: { startUs: number; endUs: number }): boolean =>
    startUs >= window.startUs && endUs <= window.endUs;
  const experts = profiles.flatMap(({ stages }) =>
    stages.flatMap(({ records }) => records.filter(isExperts)),
  );
  const steps = profiles
    .filter(({ role }) => role === 'attention')
    .flatMap((profile) => stepsOf(profile, run, experts, window.startUs));
  if (steps.length === 0) throw new RangeError('No step lies within the window.');
  return {
    tpotUs: medianOf(steps.map(({ tpotUs }) => tpotUs)),
    tokensPerSecond: window.tokensPerSecond,
    attention: steps.map(({ attention }) => attention),
    edge: steps.map(({ edge }) => edge),
    expert: profiles.flatMap(({ stages }) =>
      stages.flatMap(({ records, totals }) => {
        const held = run.model.layerCount * run.expertsPerWorker;
        return records
          .filter((record) => isExperts(record) && inWindow(record))
          .map((record) => expertSample(record, run.model, totals.weightBytes / held));
      }),
    ),
    stepOverheadUs: medianOf(steps.map(({ overheadUs }) => overheadUs)),
    handoverUs: medianOf(steps.map(({ handoverUs }) => handoverUs)),
    window: { startUs: window.startUs, endUs: window.endUs },
  };
}

interface StepParts {
  readonly tpotUs: number;
  readonly attention: AttentionSample;
  readonly edge: EdgeSample;
  readonly overheadUs: number;
  readonly handoverUs: number;
}

/** The worker's decode steps, each from the end of the one before to its own. */
function stepsOf(
  { steps, stages }: WorkerProfile,
  run: SampledRun,
  experts: readonly OpRecord[],
  fromUs: number,
): StepParts[] {
  const most = Math.max(0, ...steps.filter(isDecode).map(({ tokens }) => tokens));
  const decode = steps.filter((step) => isDecode(step) && step.tokens === most);
  const records = stages.flatMap((stage) => stage.records);
  return decode.slice(1).flatMap((step, index) => {
    const startUs = decode[index]?.endUs ?? 0;
    if (startUs < fromUs) return [];
    const within = between(startUs, step.endUs);
    // The first step's first token stands after the prompt; each step sees one key more.
    const contextTokens = run.promptTokens + index + 2;
    return [
      partsOf(
        { step, startUs, contextTokens },
        records.filter(within),
        experts.filter(within),
        run,
      ),
    ];
  });
}

function partsOf(
  at: { readonly step: StepRecord; readonly startUs: number; readonly contextTokens: number },
  own: readonly OpRecord[],
  experts: readonly OpRecord[],
  { model, microBatches }: SampledRun,
): StepParts {
  const { step, startUs, contextTokens } = at;
  const parts = Math.min(microBatches, step.tokens);
  const halves = parts * model.layerCount;
  const tokens = step.tokens / parts;
  const edgeOpsUs = sumOf(own.filter(({ layer }) => layer < 0));
  const ownExpertUs = sumOf(own.filter(isExperts));
  const attentionUs = (step.computeUs - edgeOpsUs - ownExpertUs) / halves;
  const tpotUs = step.endUs - startUs;
  const { computeUs, waitUs, dispatchUs, samplingUs } = step;
  const isColocated = own.some(isExperts);
  const passedOnUs = isColocated ? 0 : waitUs + dispatchUs;
  return {
    tpotUs,
    attention: {
      tokens,
      keysSeen: tokens * contextTokens,
      us: attentionUs,
      // Colocated experts run in between, and read more than caches hold.
      repeated: isColocated ? 0 : (parts - 1) / parts,
    },
    edge: { tokens, us: (edgeOpsUs + samplingUs) / parts },
    overheadUs: Math.max(0, tpotUs - computeUs - samplingUs - passedOnUs),
    handoverUs: isColocated
      ? 0
      : Math.max(0, passedOnUs - slowestUs(experts, model)) / model.layerCount,
  };
}

/**
 * What the experts' runs of a step took where each layer waits for the slowest worker: runs of one
 * layer overlap.
 */
function slowestUs(experts: readonly OpRecord[], { layerCount }: SampledModel): number {
  let sum = 0;
  for (let layer = 0; layer < layerCount; layer += 1) {
    const runs = experts.filter((record) => record.layer === layer);
    sum += Math.max(0, ...runs.map(({ startUs, endUs }) => endUs - startUs));
  }
  return sum;
}

/**
 * By the formulas of `costOf`, and by weights as they are stored: how many rows and experts it was.
 */
function expertSample(
  { flops, weightBytes, startUs, endUs }: OpRecord,
  { hiddenSize, expertWidth }: SampledModel,
  expertBytes: number,
): ExpertSample {
  const rows = Math.round(flops / (expertWidth * (6 * hiddenSize + 4)));
  const distinctExperts = Math.round(weightBytes / expertBytes);
  return { rows, distinctExperts, us: endUs - startUs };
}

function between(startUs: number, endUs: number): (record: OpRecord) => boolean {
  return (record) => {
    const middleUs = (record.startUs + record.endUs) / 2;
    return middleUs > startUs && middleUs <= endUs;
  };
}

function isDecode({ tokens, outputTokens }: StepRecord): boolean {
  return tokens > 0 && tokens === outputTokens;
}

function isExperts({ op }: OpRecord): boolean {
  return op === 'experts';
}

function sumOf(records: readonly OpRecord[]): number {
  return records.reduce((sum, { startUs, endUs }) => sum + endUs - startUs, 0);
}
