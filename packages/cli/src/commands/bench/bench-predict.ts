import { Command, InvalidArgumentError } from 'commander';
import type { BenchReport, BenchSuite } from '@megascale/bench';
import { presentFields } from '@megascale/core';
import { wholeNumber } from '../../flags/number-flags.js';
import { readVersion } from '../../output/read-version.js';
import type { BenchCommon } from './run-bench.js';

interface PredictFlags {
  readonly models: readonly string[];
  readonly threads?: number;
  readonly isa?: string;
  readonly batchMax: number;
  readonly profileRounds: number;
  readonly rounds: number;
  readonly recalibrate?: boolean;
  readonly date?: string;
  readonly json?: boolean;
}

type Run = (
  flags: PredictFlags,
  measure: (suite: BenchSuite, common: BenchCommon) => Promise<BenchReport>,
) => Promise<void>;

/** `run` loads the suite, prints what it reports and ends it on signals. */
export function predictCommand(run: Run): Command {
  return new Command('predict')
    .description(
      'Predict tokens/s and TPOT of many deployments from a fresh profile, then run them.',
    )
    .option('--models <list>', 'directories (default: two models that are made)', nameList, [])
    .option('--threads <n>', 'of each worker (default: cores / workers of a pool)', wholeNumber(1))
    .option('--isa <name>', 'kernels, as doctor lists them (default: the best)')
    .option('--batch-max <B>', 'leaves out larger batches', wholeNumber(1, 256), 32)
    .option('--profile-rounds <count>', 'of the profile', wholeNumber(1, 100), 1)
    .option('--rounds <count>', 'of each deployment and batch', wholeNumber(1, 100), 3)
    .option(
      '--recalibrate',
      'move the profile by what every other run measured, and say what it helps',
    )
    .option('--date <text>', 'when the profiles were taken (default: now)')
    .option('--json', 'print one JSON document, at the end')
    .addHelpText(
      'after',
      `
Each model is profiled, then run colocated and cut, with M, N, m, batches and emulated links. A resident deployment of
the same model is timed before and after each run: its pace scales the prediction, nothing of the run itself does.

Examples:
  megascale bench predict
  megascale bench predict --models MODEL --rounds 5 --recalibrate --json`,
    )
    .action((flags: PredictFlags) =>
      run(flags, (suite, common) =>
        suite.predict({
          directories: flags.models,
          options: presentFields({ isa: flags.isa }),
          ...presentFields({ threads: flags.threads }),
          batchMax: flags.batchMax,
          runs: flags.profileRounds,
          rounds: flags.rounds,
          recalibrate: flags.recalibrate === true,
          takenAt: flags.date ?? new Date().toISOString(),
          version: readVersion(),
          ...common,
        }),
      ),
    );
}

/** 'a,b' → ['a', 'b'] */
export function nameList(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.every((name) => name.length > 0)) return names;
  throw new InvalidArgumentError('Expected names, separated by commas.');
}
