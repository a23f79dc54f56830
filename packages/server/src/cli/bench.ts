import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { ConfigError } from '@megascale/core';
import { Command } from 'commander';
import type { BenchReport, BenchRequest, BenchTarget } from '../bench-suite.js';
import { presentFields } from '../present-fields.js';
import type { CliWorld } from './cli-world.js';
import { m2nCommand } from './bench-m2n.js';
import { addDeploymentFlags, deploymentOf, type DeploymentFlags } from './deployment-flags.js';
import { realNumber, safeInteger, wholeNumber } from './number-flags.js';
import { ShutdownSignals } from './shutdown-signals.js';
import { UsageError } from './usage-error.js';

interface LoadFlags extends DeploymentFlags {
  readonly runs: number;
  readonly json?: boolean;
}

interface RunFlags extends LoadFlags {
  readonly batch: number;
  readonly promptTokens: number;
  readonly outputTokens?: number;
  readonly seed: number;
  readonly boundGib: number;
  readonly profile?: boolean;
  readonly trace?: string;
  readonly against?: string;
  readonly againstColocated?: boolean;
}

export function benchCommand(world: CliWorld): Command {
  return new Command('bench')
    .description('Measure a model as a share of what this machine can do.')
    .addCommand(decodeCommand(world))
    .addCommand(prefillCommand(world))
    .addCommand(loadCommand(world))
    .addCommand(m2nCommand((flags, measure) => run(world, flags, measure)))
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
    run(world, flags, (suite, common) => suite.decode(requestOf(directory, flags, common))),
  );
}

function prefillCommand(world: CliWorld): Command {
  const command = new Command('prefill')
    .description('Prompt tokens per second, TTFT and S-MFU of prompts that are taken in together.')
    .argument('<MODEL>', 'directory in Hugging Face layout')
    .option('--batch <B>', 'prompts, all in one step', wholeNumber(1), 1)
    .option('--prompt-tokens <P>', 'random tokens of each', wholeNumber(1), 512);
  return addRunFlags(command).action((directory: string, flags: RunFlags) =>
    run(world, flags, (suite, common) => suite.prefill(requestOf(directory, flags, common))),
  );
}

function loadCommand(world: CliWorld): Command {
  const command = new Command('load')
    .description('Load time against the time to copy the same bytes.')
    .argument('<MODEL>', 'directory in Hugging Face layout');
  return addCommonFlags(command).action((directory: string, flags: LoadFlags) =>
    run(world, flags, (suite, common) =>
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

type Common = Pick<BenchRequest, 'clock' | 'signal' | 'onProgress'>;

async function run(
  world: CliWorld,
  flags: { readonly json?: boolean; readonly trace?: string },
  measure: (
    suite: Awaited<ReturnType<CliWorld['loadBench']>>,
    common: Common,
  ) => Promise<BenchReport>,
): Promise<void> {
  const signals = new ShutdownSignals(world);
  try {
    const suite = await loadSuite(world);
    const report = await measure(suite, {
      clock: world.clock,
      signal: signals.requested,
      onProgress: (text) => {
        if (world.stderr.isTTY === true) world.stderr.write(`${text} …\n`);
      },
    });
    if (flags.trace !== undefined) writeTrace(flags.trace, report);
    world.stdout.write(flags.json === true ? `${JSON.stringify(report.document)}\n` : report.text);
  } catch (error) {
    signals.throwIfRequested();
    throw error;
  } finally {
    signals.dispose();
  }
}

async function loadSuite(world: CliWorld) {
  try {
    return await world.loadBench();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') throw cause;
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message:
        'Benchmarks are in a package of their own, which is not installed. Run: npm install @megascale/bench',
      details: { package: '@megascale/bench' },
      cause,
    });
  }
}

function writeTrace(file: string, { trace }: BenchReport): void {
  try {
    writeFileSync(file, JSON.stringify(trace));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`The trace cannot be written: ${reason}. Name a file that can.`);
  }
}

function requestOf(directory: string, flags: RunFlags, common: Common): BenchRequest {
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
