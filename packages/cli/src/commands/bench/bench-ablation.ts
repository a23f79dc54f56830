import { Command } from 'commander';
import type { AblationRequest, BenchReport, BenchSuite } from '@megascale/bench';
import { presentFields } from '@megascale/core';
import {
  addDeploymentFlags,
  deploymentOf,
  type DeploymentFlags,
} from '../../flags/deployment-flags.js';
import { safeInteger, wholeNumber } from '../../flags/number-flags.js';
import { UsageError } from '../../output/usage-error.js';
import { writeBenchChart } from '../../output/write-files.js';

type AblationFlags = Omit<DeploymentFlags, 'microBatchesMax'> & {
  readonly batch: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly seed: number;
  readonly runs: number;
  readonly microBatchesMax: number;
  readonly transports: readonly string[];
  readonly chart?: string;
  readonly json?: boolean;
};

type Common = Pick<AblationRequest, 'clock' | 'signal' | 'onProgress'>;
type Run = (
  flags: AblationFlags,
  measure: (suite: BenchSuite, common: Common) => Promise<BenchReport>,
) => Promise<void>;

/** `--micro-batches-max` is a flag of the benchmark. */
const without = ['microBatchesMax'] as const;

/** `run` loads the suite, prints what it reports and ends it on signals. */
export function ablationCommand(run: Run): Command {
  const command = new Command('ablation')
    .description('What each part of disaggregation gains or costs, at equal threads and memory.')
    .argument(
      '[MODEL]',
      'directory in Hugging Face layout (default: one like Mixtral that is made)',
    )
    .option('--batch <B>', 'sequences that decode together', wholeNumber(1), 16)
    .option('--prompt-tokens <P>', 'random prompt tokens of each', wholeNumber(1), 16)
    .option('--output-tokens <n>', 'output tokens of each', wholeNumber(4), 32)
    .option('--micro-batches-max <m>', 'm from 1 to this', wholeNumber(2, 8), 4)
    .option('--transports <names>', 'the first for all rows, the others for a row each', names, [
      'shm',
      'tcp',
    ]);
  return addDeploymentFlags(command, without)
    .option('--runs <count>', 'measured runs of each, in turns', wholeNumber(1), 5)
    .option('--seed <seed>', 'same seed, same prompts', safeInteger, 0)
    .option('--chart <file>', 'draw the table: .svg, or .html with both')
    .option('--json', 'print one JSON document, at the end')
    .addHelpText(
      'after',
      `
All deployments are loaded at once: the model should fit into memory about eight times (M + N + 1).

Examples:
  megascale bench ablation --chart ablation.svg
  megascale bench ablation MODEL --batch 32 --threads 1 --chart ablation.svg
  megascale bench ablation MODEL --attention-workers 2 --expert-workers 2 --emulated-link latencyUs=200`,
    )
    .action((directory: string | undefined, flags: AblationFlags) =>
      measure(run, directory, flags),
    );
}

function measure(run: Run, directory: string | undefined, flags: AblationFlags): Promise<void> {
  if (
    flags.colocated === true ||
    flags.microBatches !== undefined ||
    flags.transport !== undefined
  ) {
    throw new UsageError(
      'The ablation itself goes through --colocated, --micro-batches and --transport: leave them out (see --micro-batches-max, --transports).',
    );
  }
  const [transport] = flags.transports;
  if (transport === undefined) throw new UsageError('Name at least one of --transports.');
  const { batch, promptTokens, outputTokens, seed, runs, microBatchesMax, transports } = flags;
  return run(flags, async (suite, common) => {
    const report = await suite.ablation({
      batch,
      promptTokens,
      outputTokens,
      seed,
      runs,
      microBatchesMax,
      transports,
      ...(directory === undefined ? {} : { directory }),
      options: presentFields({ ...deploymentOf(flags, undefined, without), transport }),
      ...common,
    });
    if (flags.chart !== undefined) writeBenchChart(flags.chart, 'Ablation', report);
    return report;
  });
}

function names(text: string): readonly string[] {
  return [...new Set(text.split(',').map((name) => name.trim()))].filter((name) => name !== '');
}
