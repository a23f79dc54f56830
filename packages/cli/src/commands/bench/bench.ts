import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import type { BenchRequest, BenchTarget } from '@megascale/bench';
import { presentFields } from '@megascale/core';
import type { CliWorld } from '../../world.js';
import { ablationCommand } from './bench-ablation.js';
import { pipelineCommand } from './bench-pipeline.js';
import { predictCommand } from './bench-predict.js';
import { m2nCommand } from './bench-m2n.js';
import {
  addDeploymentFlags,
  deploymentOf,
  type DeploymentFlags,
} from '../../flags/deployment-flags.js';
import { realNumber, safeInteger, wholeNumber } from '../../flags/number-flags.js';
import { runBench, type BenchCommon } from './run-bench.js';
import { UsageError } from '../../output/usage-error.js';

type LoadFlags = DeploymentFlags & {
  readonly runs: number;
  readonly json?: boolean;
};

type RunFlags = LoadFlags & {
  readonly batch: number;
  readonly promptTokens: number;
  readonly outputTokens?: number;
  readonly seed: number;
  readonly boundGib: number;
  readonly profile?: boolean;
  readonly trace?: string;
  readonly against?: string;
  readonly againstColocated?: boolean;
};

export function benchCommand(world: CliWorld): Command {
  return new Command('bench')
    .description('Measure a model as a share of what this machine can do.')
    .addCommand(decodeCommand(world))
    .addCommand(prefillCommand(world))
    .addCommand(loadCommand(world))
    .addCommand(m2nCommand((flags, measure) => runBench(world, flags, measure)))
    .addCommand(ablationCommand((flags, measure) => runBench(world, flags, measure)))
    .addCommand(pipelineCommand((flags, measure) => runBench(world, flags, measure)))
    .addCommand(predictCommand((flags, measure) => runBench(world, flags, measure)))
    .addHelpText(
      'after',
      `
The machine's bounds are measured in the same run, in turns with the model, with as many threads.
docs/benchmarks.md says how each figure is made. Needs the package @megascale/bench.

Examples:
  megascale bench decode MODEL --batch 16 --colocated --threads 2 --profile
  megascale bench decode MODEL --batch 16 --micro-batches 2 --threads 1 --against-colocated
  megascale bench prefill MODEL --batch 8 --prompt-tokens 128 --colocated --json
  megascale bench load MODEL --colocated
  megascale bench m2n --search --minutes 5 --factor 3`,
    );
}

function decodeCommand(world: CliWorld): Command {
  const command = new Command('decode')
    .description('Tokens per second, TPOT and S-MBU of sequences that decode together.')
    .argument('<MODEL>', 'directory in Hugging Face layout')
    .option('--batch <B>', 'sequences that run together', wholeNumber(1), 1)
    .option('--prompt-tokens <P>', 'random prompt tokens of each', wholeNumber(1), 16)
    .option('--output-tokens <n>', 'output tokens of each', wholeNumber(4), 32);
  return addRunFlags(command).action((directory: string, flags: RunFlags) =>
    runBench(world, flags, (suite, common) => suite.decode(requestOf(directory, flags, common))),
  );
}

function prefillCommand(world: CliWorld): Command {
  const command = new Command('prefill')
    .description('Prompt tokens per second, TTFT and S-MFU of prompts that are taken in together.')
    .argument('<MODEL>', 'directory in Hugging Face layout')
    .option('--batch <B>', 'prompts, all in one step', wholeNumber(1), 1)
    .option('--prompt-tokens <P>', 'random tokens of each', wholeNumber(1), 512);
  return addRunFlags(command).action((directory: string, flags: RunFlags) =>
    runBench(world, flags, (suite, common) => suite.prefill(requestOf(directory, flags, common))),
  );
}

function loadCommand(world: CliWorld): Command {
  const command = new Command('load')
    .description('Load time against the time to copy the same bytes.')
    .argument('<MODEL>', 'directory in Hugging Face layout');
  return addCommonFlags(command).action((directory: string, flags: LoadFlags) =>
    runBench(world, flags, (suite, common) =>
      suite.load({ directory, options: optionsOf(flags), runs: flags.runs, ...common }),
    ),
  );
}

function addCommonFlags(command: Command): Command {
  return addDeploymentFlags(command)
    .option('--runs <count>', 'measured runs, after one that warms up', wholeNumber(1), 5)
    .option('--json', 'print one JSON document, at the end');
}

function addRunFlags(command: Command): Command {
  return addCommonFlags(command)
    .option('--seed <seed>', 'same seed, same prompts', safeInteger, 0)
    .option('--bound-gib <GiB>', 'memory to measure the read bandwidth over', realNumber(0.25), 2)
    .option(
      '--profile',
      'where the time of a step goes, op by op, with each op’s share of its bound',
    )
    .option('--trace <file>', 'write a Chrome trace of the last run')
    .option('--against <model>', 'run a second model in turns with the first: ratio of tokens/s')
    .option('--against-colocated', 'run the same model colocated, with as many threads in all');
}

function requestOf(directory: string, flags: RunFlags, common: BenchCommon): BenchRequest {
  const against = againstOf(directory, flags);
  return {
    directory,
    options: optionsOf(flags),
    batch: flags.batch,
    promptTokens: flags.promptTokens,
    outputTokens: flags.outputTokens ?? 1,
    runs: flags.runs,
    seed: flags.seed,
    boundBytes: Math.round(flags.boundGib * 2 ** 30),
    profile: flags.profile === true,
    ...(against === undefined ? {} : { against }),
    ...common,
  };
}

function optionsOf(flags: DeploymentFlags): BenchTarget['options'] {
  return presentFields(deploymentOf(flags));
}

function againstOf(directory: string, flags: RunFlags): BenchTarget | undefined {
  if (flags.againstColocated !== true) {
    return flags.against === undefined
      ? undefined
      : { directory: flags.against, options: optionsOf(flags) };
  }
  if (flags.against !== undefined || flags.colocated === true) {
    throw new UsageError(
      '--against-colocated compares a disaggregated run of one model: leave out --against and --colocated.',
    );
  }
  const { attentionWorkers = 1, expertWorkers = 1, threads } = flags;
  const { backend, isa } = flags;
  const all =
    threads === undefined
      ? undefined
      : Math.min(availableParallelism(), threads * (attentionWorkers + expertWorkers));
  return {
    directory,
    options: presentFields({ colocated: true, attentionWorkers: 1, threads: all, backend, isa }),
  };
}
