import { BenchError } from '../bench-error.js';
import type { BenchReport, PredictRequest, ProfileRequest } from '../suite.js';
import { madeModels, withMadeModel } from '../model/made-models.js';
import { comparePredictions, runCases, type PredictRow } from './predict/predict-bench.js';
import { predictText, summaryLine, summaryOf } from './predict/predict-report.js';
import { profileText } from './profile-report.js';
import { recalibrated, type Recalibrated } from './predict/recalibrated.js';
import { withProfile } from './take-profile.js';

/**
 * Measures what this machine takes for a model; the document is the profile.
 *
 * @throws BenchError, and what loading the model throws.
 */
export async function benchProfile(request: ProfileRequest): Promise<BenchReport> {
  const { runs, ...options } = request;
  return withProfile({ ...options, rounds: runs }, ({ profile }) =>
    Promise.resolve({ document: profile, text: profileText(profile) }),
  );
}

/**
 * Takes a profile of each model, predicts deployments from it, and runs them.
 *
 * @throws BenchError, and what loading a model throws.
 */
export async function benchPredict(request: PredictRequest): Promise<BenchReport> {
  const rows: PredictRow[] = [];
  const profiles: object[] = [];
  const better: Recalibrated[] = [];
  const add = async (directory: string): Promise<void> => {
    const { runs, rounds, recalibrate } = request;
    await withProfile({ ...request, directory, rounds: runs, transports: [] }, async (taken) => {
      const { profile, reference } = taken;
      const cases = await runCases(taken, { rounds, onProgress: request.onProgress });
      profiles.push(profile);
      rows.push(...comparePredictions(profile, reference, cases));
      const moved = recalibrate ? recalibrated(profile, reference, cases) : undefined;
      if (moved !== undefined) better.push(moved);
    });
  };
  if (request.directories.length === 0) {
    for (const name of madeModels) await withMadeModel(name, add);
  }
  for (const directory of request.directories) await add(directory);
  if (rows.length === 0) throw new BenchError('No batch is small enough. Raise --batch-max.');
  return {
    document: {
      benchmark: 'predict',
      rounds: request.rounds,
      summary: summaryOf(rows),
      rows,
      profiles,
      ...(request.recalibrate ? { recalibrated: better } : {}),
    },
    text: [predictText(rows), ...better.map(betterText)].join(''),
  };
}

function betterText({ learntFrom, before, after }: Recalibrated): string {
  return [
    '',
    `recalibrated by ${learntFrom} runs of every other deployment; the deployments between, before and after:`,
    `  ${summaryLine(before)}`,
    `  ${summaryLine(after)}`,
    '',
  ].join('\n');
}
