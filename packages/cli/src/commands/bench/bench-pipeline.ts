import { Command, InvalidArgumentError } from 'commander';
import type { BenchReport, BenchSuite, PipelineRequest } from '@megascale/bench';
import { presentFields } from '@megascale/core';
import {
  addDeploymentFlags,
  deploymentOf,
  type DeploymentFlags,
} from '../../flags/deployment-flags.js';
import { realNumber, safeInteger, wholeNumber } from '../../flags/number-flags.js';
import { UsageError } from '../../output/usage-error.js';
import { writeBenchChart } from '../../output/write-files.js';

type PipelineFlags = Omit<DeploymentFlags, 'microBatchesMax'> & {
  readonly stageUs: number;
  readonly layers: number;
  readonly ratios: readonly number[];
  readonly microBatchesMax: number;
  readonly batch: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly seed: number;
  readonly skew?: boolean;
  readonly chart?: string;
  readonly json?: boolean;
};

type Common = Pick<PipelineRequest, 'clock' | 'signal' | 'onProgress'>;
type Run = (
  flags: PipelineFlags,
  measure: (suite: BenchSuite, common: Common) => Promise<BenchReport>,
) => Promise<void>;

/** `--micro-batches-max` is a flag of the benchmark. */
const without = ['microBatchesMax'] as const;

/** `run` loads the suite, prints what it reports and ends it on signals. */
export function pipelineCommand(run: Run): Command {
  const command = new Command('pipeline')
    .description(
      'Steps of the ping-pong pipeline beside the time that its law gives, over m and T_c.',
    )
    .argument('[MODEL]', 'directory in Hugging Face layout (default: a small one that is made)')
    .option('--stage-us <µs>', 'T_a = T_e of the null backend', realNumber(1, 60_000_000), 2000)
    .option('--layers <L>', 'of the model that is made', wholeNumber(1, 256), 8)
    .option('--ratios <list>', 'T_c / T_f of the links', ratios, [0.1, 0.3, 0.45, 0.9])
    .option('--micro-batches-max <m>', 'm from 1 to this', wholeNumber(1, 8), 4)
    .option('--batch <B>', 'sequences in each micro-batch', wholeNumber(1), 4)
    .option('--prompt-tokens <P>', 'random prompt tokens of each', wholeNumber(1), 8)
    .option('--output-tokens <n>', 'output tokens of each', wholeNumber(4), 16)
    .option('--skew', 'instead: attention workers with unequal contexts, lockstep against window');
  return addDeploymentFlags(command, without)
    .option('--seed <seed>', 'same seed, same prompts', safeInteger, 0)
    .option('--chart <file>', 'draw step times over m: .svg, or .html with the table')
    .option('--json', 'print one JSON document, at the end')
    .addHelpText(
      'after',
      `
Without MODEL the null backend takes T_f for each half-layer and computes nothing: the law of the pipeline. With MODEL the
backend computes, and the law is given the T_a and T_e measured in the same run.

Examples:
  megascale bench pipeline --chart pipeline.svg
  megascale bench pipeline --stage-us 500 --ratios 0.3 --micro-batches-max 8
  megascale bench pipeline --skew
  megascale bench pipeline MODEL --batch 16`,
    )
    .action((directory: string | undefined, flags: PipelineFlags) =>
      measure(run, directory, flags),
    );
}

function measure(run: Run, directory: string | undefined, flags: PipelineFlags): Promise<void> {
  if (
    flags.colocated === true ||
    flags.microBatches !== undefined ||
    flags.emulatedLink !== undefined ||
    flags.overlapSteps === false
  ) {
    throw new UsageError(
      'The benchmark itself sets m, the link and whether steps are joined: leave out --colocated, --micro-batches, --emulated-link and --no-overlap-steps.',
    );
  }
  if (directory === undefined && (flags.backend ?? 'null') !== 'null') {
    throw new UsageError('A backend that computes needs a MODEL.');
  }
  if (flags.skew === true && (directory !== undefined || flags.chart !== undefined)) {
    throw new UsageError('--skew goes without MODEL and --chart.');
  }
  const { layers, batch, promptTokens, outputTokens, seed, microBatchesMax } = flags;
  const computes = directory !== undefined && flags.backend !== 'null';
  return run(flags, async (suite, common) => {
    const report = await suite.pipeline({
      layers,
      batch,
      promptTokens,
      outputTokens,
      seed,
      microBatchesMax,
      ratios: flags.ratios,
      skew: flags.skew === true,
      ...(directory === undefined ? {} : { directory }),
      ...(computes ? {} : { stageUs: flags.stageUs }),
      options: presentFields({
        ...deploymentOf(flags, undefined, without),
        backend: computes ? flags.backend : 'null',
      }),
      ...common,
    });
    if (flags.chart !== undefined) writeBenchChart(flags.chart, 'Pipeline', report);
    return report;
  });
}

function ratios(text: string): readonly number[] {
  try {
    return text.split(',').map((part) => realNumber(0, 100)(part));
  } catch {
    throw new InvalidArgumentError('Expected numbers from 0, with commas between: 0.1,0.45,0.9.');
  }
}
