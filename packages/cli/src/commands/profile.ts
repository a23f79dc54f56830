import { Command } from 'commander';
import { presentFields } from '@megascale/core';
import type { CliWorld } from '../world.js';
import { nameList } from './bench/bench-predict.js';
import { wholeNumber } from '../flags/number-flags.js';
import { readVersion } from '../output/read-version.js';
import { runBench } from './bench/run-bench.js';
import { writeTextFile } from '../output/write-files.js';

interface ProfileFlags {
  readonly threads?: number;
  readonly isa?: string;
  readonly batchMax: number;
  readonly rounds: number;
  readonly transports: readonly string[];
  readonly date?: string;
  readonly out?: string;
  readonly json?: boolean;
}

export function profileCommand(world: CliWorld): Command {
  return new Command('profile')
    .description('Measure what this machine takes for a model, for predictions and for plans.')
    .argument('<MODEL>', 'directory in Hugging Face layout')
    .option('--threads <n>', 'of each worker (default: cores / workers of a pool)', wholeNumber(1))
    .option('--isa <name>', 'kernels, as doctor lists them (default: the best)')
    .option('--batch-max <B>', 'largest batch that is measured', wholeNumber(1, 256), 32)
    .option('--rounds <count>', 'over all deployments and batches', wholeNumber(1, 100), 2)
    .option('--transports <names>', 'whose messages are timed', nameList, ['shm', 'tcp'])
    .option('--date <text>', 'when it was taken (default: now)')
    .option('--out <file>', 'write the profile, as JSON')
    .option('--json', 'print the profile instead of the table')
    .addHelpText(
      'after',
      `
T_a over tokens and context (k1, k2), T_e over rows and distinct experts (k3, k4), embedding with LM head and sampling,
what a step and a handover take besides, read bandwidth, multiply rate, and what messages take by their size.
Takes one to three minutes. Needs the package @megascale/bench.

Examples:
  megascale profile MODEL --out machine.json
  megascale profile MODEL --threads 2 --batch-max 64 --json`,
    )
    .action((directory: string, flags: ProfileFlags) => takeProfile(world, directory, flags));
}

async function takeProfile(world: CliWorld, directory: string, flags: ProfileFlags): Promise<void> {
  await runBench(world, flags, async (suite, common) => {
    const report = await suite.profile({
      directory,
      options: presentFields({ isa: flags.isa }),
      ...presentFields({ threads: flags.threads }),
      batchMax: flags.batchMax,
      runs: flags.rounds,
      transports: flags.transports,
      takenAt: flags.date ?? new Date().toISOString(),
      version: readVersion(),
      ...common,
    });
    if (flags.out !== undefined)
      writeTextFile(flags.out, `${JSON.stringify(report.document, null, 2)}\n`);
    return report;
  });
}
