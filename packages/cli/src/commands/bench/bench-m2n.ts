import type { EmulatedLink } from '@megascale/core';
import { Command, InvalidArgumentError } from 'commander';
import type { BenchReport, BenchSuite, M2nSearchRequest } from '@megascale/bench';
import { optionFlag } from '../../flags/deployment-flags.js';
import { realNumber, safeInteger, wholeNumber } from '../../flags/number-flags.js';
import { UsageError } from '../../output/usage-error.js';
import { writeBenchChart } from '../../output/write-files.js';

interface M2nFlags {
  readonly transport: readonly string[];
  readonly senders: number;
  readonly receivers: number;
  readonly bytes: readonly number[];
  readonly skew?: boolean;
  readonly bothDirections: boolean;
  readonly rounds: number;
  readonly effort: number;
  readonly emulatedLink?: EmulatedLink;
  readonly baselines?: readonly string[];
  readonly chart?: string;
  readonly search?: boolean;
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
    .description('What the transports between the pools cost, beside what else carries bytes.')
    .option(
      '--transport <name>',
      'what carries the rows; with --search several, with commas',
      names,
      ['shm'],
    )
    .option('--senders <M>', 'attention ranks: 1, 2, 4 or 8', wholeNumber(1, 8), 1)
    .option('--receivers <N>', 'expert ranks: 1, 2, 4 or 8', wholeNumber(1, 8), 1)
    .option(
      '--bytes <n>',
      'of each sender to each receiver, several with commas (default: 2 KiB to 8 MiB)',
      sizes,
      [],
    )
    .option('--skew', 'one hot expert')
    .option('--no-both-directions', 'leave out the run with answers as large as the rows')
    .option('--rounds <count>', 'measurements of each, in turns', wholeNumber(1), 5)
    .option('--effort <x>', 'all message counts times this', realNumber(0.01, 100), 1)
    .addOption(optionFlag('emulatedLink'))
    .option(
      '--baselines <names>',
      'openmpi, ucx, zeromq, grpc, unix, tcp, floor; or none (default: all)',
      baselines,
    )
    .option(
      '--chart <file>',
      'draw latency and throughput over the size: .svg, or .html with the table',
    )
    .option('--search', 'look for traffic that is slower than alpha + beta · bytes predicts')
    .option('--minutes <t>', 'how long to search', realNumber(0.01, 1440), 5)
    .option('--factor <x>', 'how many times slower is of interest', realNumber(1.01), 3)
    .option('--seed <seed>', 'same seed, same points to start the search from', safeInteger, 0)
    .option('--json', 'print one JSON document, at the end')
    .addHelpText(
      'after',
      `
Examples:
  megascale bench m2n --bytes 262144 --baselines openmpi,ucx,floor
  megascale bench m2n --transport tcp --bytes 262144 --baselines tcp,grpc
  megascale bench m2n --chart m2n.svg
  megascale bench m2n --search --minutes 10`,
    )
    .action((flags: M2nFlags) =>
      flags.search === true ? search(run, flags) : measure(run, flags),
    );
}

function search(run: Run, flags: M2nFlags): Promise<void> {
  if (flags.chart !== undefined) throw new UsageError('--chart goes without --search.');
  const { transport: transports, minutes, factor, seed } = flags;
  return run(flags, (suite, common) =>
    suite.m2nSearch({ transports, minutes, factor, seed, ...common }),
  );
}

function measure(run: Run, flags: M2nFlags): Promise<void> {
  const { senders, receivers, bytes, bothDirections, rounds, effort } = flags;
  const [transport, ...more] = flags.transport;
  if (transport === undefined || more.length > 0) {
    throw new UsageError('Give one --transport; only --search looks at several.');
  }
  if (flags.chart !== undefined && bytes.length === 1) {
    throw new UsageError('A --chart needs more than one size.');
  }
  return run(flags, async (suite, common) => {
    const report = await suite.m2n({
      transport,
      senders,
      receivers,
      bytes,
      bothDirections,
      rounds,
      effort,
      skew: flags.skew === true,
      ...(flags.emulatedLink === undefined ? {} : { emulatedLink: flags.emulatedLink }),
      ...(flags.baselines === undefined ? {} : { baselines: flags.baselines }),
      ...common,
    });
    if (flags.chart !== undefined) writeBenchChart(flags.chart, 'Transports', report);
    return report;
  });
}

function names(text: string): readonly string[] {
  return [...new Set(text.split(',').map((name) => name.trim()))].filter((name) => name !== '');
}

function baselines(text: string): readonly string[] {
  return text === 'none' ? [] : names(text);
}

function sizes(text: string): readonly number[] {
  try {
    return names(text).map((size) => wholeNumber(64)(size));
  } catch {
    throw new InvalidArgumentError(
      'Expected numbers of bytes from 64, with commas between: 2048,262144.',
    );
  }
}
