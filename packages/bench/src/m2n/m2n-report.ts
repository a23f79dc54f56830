import type { Percentiles } from './m2n-figures.js';
import type { Baseline, M2nPoint, PointFigures } from './m2n-point.js';

export interface M2nResult {
  readonly transport: string;
  readonly points: readonly M2nPoint[];
}

const columns = ['', 'end to end', 'dispatch', 'round trip', 'GB/s', 'both', 'latency ×'] as const;

/** Tables for people, one for each size. */
export function m2nText({
  transport,
  rounds,
  points,
}: M2nResult & { readonly rounds: number }): string {
  const lines = points.flatMap((point) => {
    const { senders, receivers, bytes, ours, baselines } = point;
    const rows = [
      rowOf(transport, ours),
      ...Object.entries(baselines).map(([other, baseline]) => baselineRow(other, baseline, ours)),
    ];
    return [
      `${sizeText(bytes)} from each of ${String(senders)} to each of ${String(receivers)}`,
      ...align([[...columns], ...rows]),
      '',
    ];
  });
  return [
    ...lines,
    `Medians of ${String(rounds)} rounds. Times in µs: p50 / p99 / p99.9. 'latency ×': our end to end p50 over the other's.`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

export function sizeText(bytes: number): string {
  if (bytes >= 1 << 20) return `${String(bytes / (1 << 20))} MiB`;
  return bytes >= 1 << 10 ? `${String(bytes / (1 << 10))} KiB` : `${String(bytes)} B`;
}

function baselineRow(name: string, baseline: Baseline, ours: PointFigures): string[] {
  if ('absent' in baseline) return [name, `not here: ${baseline.absent}`];
  if ('failed' in baseline) return [name, `failed: ${baseline.failed}`];
  const ratio = ours.latencyUs.p50 / baseline.latencyUs.p50;
  return [...rowOf(name, baseline), ratio.toFixed(2)];
}

function rowOf(name: string, figures: PointFigures): string[] {
  return [
    name,
    timesText(figures.latencyUs),
    timesText(figures.dispatchUs),
    figures.roundTripUs === undefined ? '' : timesText(figures.roundTripUs),
    rateText(figures.gigabytesPerSecond),
    rateText(figures.bothDirectionsGigabytesPerSecond),
  ];
}

function timesText({ p50, p99, p999 }: Percentiles): string {
  return [p50, p99, p999].map((us) => us.toFixed(us < 10 ? 2 : 0)).join(' / ');
}

function rateText(gigabytesPerSecond: number | undefined): string {
  return gigabytesPerSecond?.toFixed(1) ?? '';
}

/** Columns as wide as their widest cell; a row that ends early may be longer than its column. */
function align(rows: readonly (readonly string[])[]): string[] {
  const full = rows.filter((row) => row.length > 2);
  const widths = columns.map((_, column) =>
    Math.max(...full.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(14) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
