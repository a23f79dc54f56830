import {
  deployOnCores,
  medianOf,
  predictDecode,
  type DecodePrediction,
  type MachineProfile,
} from '@megascale/planner';
import type { MeasuredRun } from '../measured-deployment.js';
import { paceOf, type ProbeReading } from '../pace-probe.js';
import { probedRuns, withDeployment, type ProbedRun } from './probed-runs.js';
import { predictCases, type PredictCase } from './predict-cases.js';
import type { TakenProfile } from '../take-profile.js';

/** One deployment with one batch: predicted, then measured. */
export interface PredictRow {
  readonly model: string;
  readonly deployment: string;
  readonly batch: number;
  readonly predicted: Figures;
  readonly measured: Figures;
  /** predicted / measured − 1, of tokens per second and of TPOT: medians over rounds. */
  readonly rateError: number;
  readonly tpotError: number;
  /** Least and greatest over rounds. */
  readonly tpotErrors: readonly number[];
  /**
   * The machine's pace during the runs, over the profile's, and what others took of the processors:
   * medians.
   */
  readonly pace: number;
  readonly foreignShare: number;
  readonly parts: DecodePrediction;
  readonly measuredParts: Parts;
}

export interface Figures {
  readonly tokensPerSecond: number;
  readonly tpotUs: number;
}

export interface Parts {
  readonly attentionUs: number;
  readonly expertUs: number;
  readonly edgeUs: number;
  readonly handoverUs: number;
  readonly stepOverheadUs: number;
}

const promptTokens = 8;
const outputTokens = 14;
/** Keys that the tokens of the steps which count see on average. */
export const contextTokens = promptTokens + (outputTokens + 2) / 2;

interface Round {
  readonly predicted: DecodePrediction;
  readonly run: MeasuredRun;
  readonly pace: number;
}

export interface PredictOptions {
  readonly rounds: number;
  /** Default: all of `predictCases`. */
  readonly wantedCases?: readonly PredictCase[];
  readonly onProgress?: ((text: string) => void) | undefined;
}

/** A case that was run, batch by batch. */
export interface CaseRuns {
  readonly name: string;
  readonly runs: readonly ProbedRun[];
}

/** Runs every case with each of its batches, with the probe before and after each run. */
export async function runCases(
  { context, cores, threads, probe }: TakenProfile,
  { rounds, onProgress, wantedCases = predictCases }: PredictOptions,
): Promise<CaseRuns[]> {
  const cases: CaseRuns[] = [];
  for (const { name, deployment: wanted, batches } of wantedCases) {
    const shapes = batches
      .filter((batch) => batch <= context.batchMax)
      .map((batch) => ({ batch, promptTokens, outputTokens }));
    if (shapes.length === 0) continue;
    onProgress?.(`predicting and measuring: ${name}`);
    const deployment = deployOnCores({ ...wanted, threads }, cores);
    const runs = await withDeployment(context, deployment, (loaded) =>
      probedRuns(loaded, probe, { shapes, rounds, withNumbers: true }),
    );
    cases.push({ name, runs });
  }
  return cases;
}

/**
 * Predictions beside what was measured. A prediction sees the profile, the deployment and the
 * batch, and the probe's pace around the run; nothing of the run.
 */
export function comparePredictions(
  profile: MachineProfile,
  reference: ProbeReading,
  cases: readonly CaseRuns[],
): PredictRow[] {
  return cases.flatMap(({ name, runs }) => {
    const batches = [...new Set(runs.map(({ shape }) => shape.batch))];
    return batches.map((batch) => {
      const rounds = runs
        .filter(({ shape }) => shape.batch === batch)
        .map(({ run, around, deployment }) => {
          const pace = paceOf(around, reference);
          const workload = { batch, contextTokens };
          return { predicted: predictDecode(profile, deployment, workload, pace), run, pace };
        });
      return rowOf(profile, { name, batch }, rounds);
    });
  });
}

function rowOf(
  { model }: MachineProfile,
  { name, batch }: { readonly name: string; readonly batch: number },
  rounds: readonly Round[],
): PredictRow {
  const median = (of: (round: Round) => number): number => medianOf(rounds.map(of));
  const tpotErrors = rounds.map(({ predicted, run }) => predicted.tpotUs / run.tpotUs - 1);
  const middle = [...rounds].sort((a, b) => a.pace - b.pace)[rounds.length >> 1];
  if (middle === undefined) throw new RangeError('No round was measured.');
  return {
    model: model.name,
    deployment: name,
    batch,
    predicted: {
      tokensPerSecond: median(({ predicted }) => predicted.tokensPerSecond),
      tpotUs: median(({ predicted }) => predicted.tpotUs),
    },
    measured: {
      tokensPerSecond: median(({ run }) => run.tokensPerSecond),
      tpotUs: median(({ run }) => run.tpotUs),
    },
    rateError: median(({ predicted, run }) => predicted.tokensPerSecond / run.tokensPerSecond - 1),
    tpotError: medianOf(tpotErrors),
    tpotErrors: [Math.min(...tpotErrors), Math.max(...tpotErrors)],
    pace: median(({ pace }) => pace),
    foreignShare: median(({ run }) => run.foreignShare),
    parts: middle.predicted,
    measuredParts: partsOf(rounds),
  };
}

function partsOf(rounds: readonly Round[]): Parts {
  const median = (of: (run: MeasuredRun) => number): number =>
    medianOf(rounds.map(({ run }) => of(run)));
  const us = (samples: readonly { readonly us: number }[]): number =>
    samples.length === 0 ? 0 : medianOf(samples.map((sample) => sample.us));
  return {
    attentionUs: median(({ attention }) => us(attention)),
    expertUs: median(({ expert }) => us(expert)),
    edgeUs: median(({ edge }) => us(edge)),
    handoverUs: median(({ handoverUs }) => handoverUs),
    stepOverheadUs: median(({ stepOverheadUs }) => stepOverheadUs),
  };
}
