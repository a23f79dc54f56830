import { readFileSync } from 'node:fs';
import {
  defaultSplitRowsMin,
  expertRank,
  residentExperts,
  type LayerPlacement,
  type Placement,
} from '@megascale/core';
import {
  copiesBetween,
  LoadTraceReader,
  PlacementCost,
  planPlacement,
  totalLoads,
  type Imbalance,
} from '@megascale/scheduler';
import { Command } from 'commander';
import type { CliWorld } from '../world.js';
import { sizeNumber, wholeNumber } from '../flags/number-flags.js';
import { UsageError } from '../output/usage-error.js';

interface BalanceFlags {
  readonly expertWorkers: number;
  readonly spareExperts: number;
  readonly splitRowsMin: number;
  readonly expertBytes?: number;
  readonly json?: boolean;
}

interface BalanceReport {
  readonly workers: number;
  readonly layers: number;
  readonly experts: number;
  readonly windows: number;
  readonly truncated: boolean;
  readonly before: Imbalance;
  readonly after: Imbalance;
  /** Each of one layer. */
  readonly copiesToLoad: number;
  readonly bytesToMove?: number;
  readonly placement: Placement;
}

export function balanceCommand(world: CliWorld): Command {
  return new Command('balance')
    .description('Plan from a trace of expert loads who should hold which expert.')
    .argument('<TRACE>', 'a file of serve --expert-load-file')
    .option('--expert-workers <N>', 'expert workers', wholeNumber(1, 256), 4)
    .option(
      '--spare-experts <count>',
      'experts that each worker may hold in a layer beyond its even share',
      wholeNumber(0, 4096),
      1,
    )
    .option(
      '--split-rows-min <rows>',
      'rows that are worth another read of an expert',
      wholeNumber(1, 65_536),
      defaultSplitRowsMin,
    )
    .option(
      '--expert-bytes <bytes>',
      'of one expert in one layer: to say how many bytes move',
      sizeNumber('bytes', 1),
    )
    .option('--json', 'print one JSON document')
    .action((path: string, flags: BalanceFlags) => {
      const report = balanceReport(readTrace(path), flags);
      world.stdout.write(flags.json === true ? `${JSON.stringify(report)}\n` : reportText(report));
    });
}

function readTrace(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new UsageError(
      `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}.`,
    );
  }
}

/**
 * Imbalance of the trace's traffic with each expert on one worker in equal runs, and as planned.
 * Exported for the test.
 */
export function balanceReport(bytes: Uint8Array, flags: BalanceFlags): BalanceReport {
  const reader = new LoadTraceReader(bytes);
  const { expertWorkers, spareExperts, splitRowsMin, expertBytes } = flags;
  const { expertCount, layerCount } = reader.header;
  if (expertWorkers > expertCount) {
    throw new UsageError(
      `${expertWorkers} expert workers for ${expertCount} experts. Use at most ${expertCount}.`,
    );
  }
  let windows = 0;
  const counted = (function* () {
    for (const window of reader.windows()) {
      windows += 1;
      yield window;
    }
  })();
  const cost = new PlacementCost(totalLoads(reader.header, counted), expertWorkers, splitRowsMin);
  const even = [
    Array.from({ length: expertCount }, (_, id) => [
      expertRank(Math.floor((id * expertWorkers) / expertCount)),
    ]),
  ];
  const slots = Math.min(expertCount, Math.ceil(expertCount / expertWorkers) + spareExperts);
  const { placement, imbalance } = planPlacement(cost, slots);
  const copiesToLoad = copiesBetween(even, placement);
  return {
    workers: expertWorkers,
    layers: layerCount,
    experts: expertCount,
    windows,
    truncated: reader.truncated,
    before: cost.of(even),
    after: imbalance,
    copiesToLoad,
    ...(expertBytes === undefined ? {} : { bytesToMove: copiesToLoad * expertBytes }),
    placement,
  };
}

/** `  layer 0, worker 1    4 5 6 7` */
function layerLines(placement: LayerPlacement, layer: number, workers: number): string[] {
  return Array.from({ length: workers }, (_, worker) => {
    const experts = residentExperts(placement, expertRank(worker));
    return `  ${`layer ${layer}, worker ${worker}`.padEnd(22)} ${experts.join(' ')}`;
  });
}

function reportText(report: BalanceReport): string {
  const { layers, experts, windows, truncated, before, after } = report;
  const figure = ({ rows, cost }: Imbalance): string =>
    `${rows.toFixed(3)} of the mean in rows, ${cost.toFixed(3)} in cost`;
  const moved = report.bytesToMove === undefined ? '' : `, ${report.bytesToMove} bytes`;
  const lines = [
    `${windows} windows, ${layers} layers, ${experts} experts${truncated ? '; the last window is cut off' : ''}`,
    `Busiest worker before  ${figure(before)} (every expert once, in equal runs)`,
    `Busiest worker after   ${figure(after)}`,
    `To load                ${report.copiesToLoad} experts of single layers${moved}`,
    'Experts of workers, layer by layer',
    ...report.placement.flatMap((ofLayer, layer) => layerLines(ofLayer, layer, report.workers)),
  ];
  return `${lines.join('\n')}\n`;
}
