import type { BenchReport, BenchRequest } from '../suite.js';
import type { ModelInfo } from '@megascale/engine';
import { chromeTrace } from './chrome-trace.js';
import { opTable, type OpRow } from '../model/op-table.js';
import type { Round, Rounds } from '../model/run-rounds.js';
import { spreadOf, type Spread } from './spread.js';

/** What every report says about how it came about. */
export function setting(request: BenchRequest, rounds: Rounds) {
  const { info } = rounds.model.llm;
  const { batch, promptTokens, runs, seed } = request;
  return {
    model: info.name,
    topology: info.topology,
    backend: info.backend,
    isa: info.isa,
    threads: rounds.threads,
    batch,
    promptTokens,
    runs,
    seed,
    forkJoinUs: rounds.forkJoin,
    boundBytes: rounds.boundBytes,
    memory: rounds.memory,
  };
}

export function spreadOver(rounds: readonly Round[], pick: (round: Round) => number): Spread {
  return spreadOf(rounds.map(pick));
}

/** Share of the measured bandwidth that the touched bytes alone explain. */
export function smbuOf({ main, bandwidth }: Round): number {
  return main.bytes / main.seconds / bandwidth;
}

/** Share of the resident product's rate that the model's own arithmetic explains. */
export function smfuOf({ main, gemmFlopsPerSecond }: Round): number {
  return main.flops / main.seconds / gemmFlopsPerSecond;
}

/** The second deployment's figures, and the first's tokens per second over its. */
export function againstOf({ rounds, against }: Rounds) {
  if (against === undefined) return {};
  const { name, topology, isa } = against.llm.info;
  const rate = ({ against: other }: Round): number => other?.tokensPerSecond ?? NaN;
  return {
    against: {
      model: name,
      topology,
      isa,
      tokensPerSecond: spreadOver(rounds, rate),
      ratio: spreadOver(rounds, (round) => round.main.tokensPerSecond / rate(round)),
    },
  };
}

/** Of the last run, against the bounds measured before it. */
export function profileOf(rounds: Rounds): OpRow[] {
  const last = rounds.rounds.at(-1);
  if (last === undefined) return [];
  const limits = { bytesPerSecond: last.bandwidth, flopsPerSecond: last.gemmFlopsPerSecond };
  return opTable(rounds.profiles, last.main.window, limits);
}

export function reportOf(
  request: BenchRequest,
  rounds: Rounds,
  parts: { readonly document: object; readonly lines: readonly string[] },
): BenchReport {
  const profile = request.profile ? { profile: profileOf(rounds) } : {};
  return {
    document: { ...parts.document, ...againstOf(rounds), ...profile },
    text: [
      ...parts.lines,
      ...againstLines(rounds),
      ...memoryLines(rounds),
      ...(profile.profile === undefined ? [] : ['', ...profileLines(profile.profile)]),
    ]
      .map((line) => `${line}\n`)
      .join(''),
    trace: chromeTrace(rounds.profiles),
  };
}

export function headline({ topology, backend, isa }: ModelInfo, threads: number): string {
  const where =
    topology.type === 'colocated'
      ? `colocated on ${String(topology.attentionWorkers)}`
      : `${String(topology.attentionWorkers)} × ${String(topology.expertWorkers)} over ${topology.transport}${topology.emulatedLink === undefined ? '' : ', its link emulated'}`;
  const batches = topology.microBatches === 1 ? 'micro-batch' : 'micro-batches';
  return `${where}, ${String(topology.microBatches)} ${batches}, ${String(threads)} thread${threads === 1 ? '' : 's'} in all, ${backend} (${isa})`;
}

/** 'S-MBU        0.812  (0.790 … 0.820)' */
export function spreadLine(name: string, spread: Spread, digits: number, unit = ''): string {
  const text = (value: number): string => value.toFixed(digits);
  const { min, median, max } = spread;
  return `${name.padEnd(28)}${text(median).padStart(10)}${unit.padEnd(9)}(${text(min)} … ${text(max)})`;
}

function againstLines(rounds: Rounds): string[] {
  const { against } = againstOf(rounds);
  if (against === undefined || rounds.against === undefined) return [];
  const { info } = rounds.against.llm;
  return [
    '',
    `against ${info.name}: ${headline(info, rounds.threads)}`,
    spreadLine('its tokens per second', against.tokensPerSecond, 1),
    spreadLine('ratio', against.ratio, 3),
  ];
}

function memoryLines({ memory }: Rounds): string[] {
  const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
  return memory.map(({ role, rank, weightBytes, kvBytes, peakBytes, otherBytes }) => {
    const held = `weights ${mebibytes(weightBytes)} MiB, KV ${mebibytes(kvBytes)} MiB`;
    const peak =
      peakBytes === null || otherBytes === null
        ? 'peak unknown on this system'
        : `peak ${mebibytes(peakBytes)} MiB, of that other ${mebibytes(otherBytes)} MiB`;
    return `${role} worker ${String(rank)}: ${held}, ${peak}`;
  });
}

function profileLines(rows: readonly OpRow[]): string[] {
  const percent = (share: number | null): string =>
    share === null ? '' : `${(share * 100).toFixed(1)} %`;
  const cells = rows.map((row) => [
    row.pool,
    row.op,
    row.calls === 0 ? '' : row.calls.toFixed(1),
    row.bytes === 0 ? '' : (row.bytes / 1e6).toFixed(2),
    row.flops === 0 ? '' : (row.flops / 1e6).toFixed(1),
    row.timeUs.toFixed(1),
    percent(row.shareOfTime),
    percent(row.shareOfBound),
    row.boundBy ?? '',
  ]);
  const head = ['pool', 'op', 'calls', 'MB', 'MFLOP', 'µs', 'of time', 'of bound', 'bound'];
  return ['per step and worker, last run:', ...alignColumns([head, ...cells])];
}

/** Two columns to the left, numbers to the right, the last to the left. Exported for the test. */
export function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column < 2 || column === columns - 1 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd(),
  );
}
