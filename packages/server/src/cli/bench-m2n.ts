import { Command } from 'commander';
import type { BenchReport, BenchSuite, M2nSearchRequest } from '../bench-suite.js';
import { realNumber, safeInteger } from './number-flags.js';
import { UsageError } from './usage-error.js';

interface M2nFlags {
  readonly search?: boolean;
  readonly transport: readonly string[];
  readonly minutes: number;
  readonly factor: number;
  readonly seed: number;
  readonly json?: boolean;
}

type Common = Pick<M2nSearchRequest, 'clock' | 'signal' | 'onProgress'>;
type Run = (
  flags: M2nFlags,
  measure: (suite: BenchSuite, common: Common) => Promise<BenchReport>,
) => Promise<void>;

/** `run` loads the suite, prints what it reports and ends it on signals. */
export function m2nCommand(run: Run): Command {
  return new Command('m2n')
    .description('What the transports between the pools cost.')
    .option('--search', 'look for traffic that is slower than alpha + beta · bytes predicts')
    .option('--transport <names>', 'transports to look at, with commas between', names, ['shm'])
    .option('--minutes <t>', 'how long to look', realNumber(0.01, 1440), 5)
    .option('--factor <x>', 'how many times slower is of interest', realNumber(1.01), 3)
    .option('--seed <seed>', 'same seed, same points to start from', safeInteger, 0)
    .option('--json', 'print one JSON document, at the end')
    .action((flags: M2nFlags) => {
      if (flags.search !== true) {
        throw new UsageError('bench m2n can search so far: give --search.');
      }
      const { transport: transports, minutes, factor, seed } = flags;
      return run(flags, (suite, common) =>
        suite.m2nSearch({ transports, minutes, factor, seed, ...common }),
      );
    });
}

function names(text: string): readonly string[] {
  return [...new Set(text.split(',').map((name) => name.trim()))].filter((name) => name !== '');
}
