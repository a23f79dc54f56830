import type { Feature } from './minimal-features.js';
import type { Anomaly } from './search-anomalies.js';
import type { Level, Point } from './space.js';
import type { TrafficModel } from './traffic-model.js';
import { spinsAlways } from './traffic-space.js';

export interface Failure {
  readonly point: Point;
  readonly reason: string;
}

export interface SearchResult {
  readonly minutes: number;
  readonly factor: number;
  readonly seed: number;
  readonly cores: number;
  /** Measured, those of the reductions included. */
  readonly points: number;
  readonly models: ReadonlyMap<string, TrafficModel>;
  readonly anomalies: readonly Anomaly[];
  /** Points that could not be measured. */
  readonly failures: readonly Failure[];
}

export function searchText(result: SearchResult): string {
  const { minutes, factor, seed, cores, points, models, anomalies, failures } = result;
  const lines = [
    `Searched ${String(points)} points in ${String(minutes)} min (seed ${String(seed)}, ${String(cores)} cores) for times of at least ` +
      `${String(factor)} × alpha · messages + beta · bytes.`,
    ...[...models].map(([transport, { median }]) => modelLine(transport, median)),
    '',
    ...(anomalies.length === 0 ? ['Nothing was slower than that.'] : anomalyTable(anomalies)),
    ...failures.map(({ point, reason }) => `failed: ${pointText(point)}: ${reason}`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function modelLine(transport: string, { alpha, beta }: TrafficModel['median']): string {
  const rate = beta > 0 ? `${(1 / beta / 1000).toFixed(1)} GB/s` : 'any rate';
  return `${transport}: ${alpha.toFixed(1)} µs + bytes / ${rate} (median, one sender, one receiver)`;
}

function anomalyTable(anomalies: readonly Anomaly[]): string[] {
  return anomalies
    .toSorted((a, b) => b.excess - a.excess)
    .flatMap(({ excess, figure, features, point }, index) => [
      `${String(index + 1)}. ${figure} ${excess.toFixed(1)} × the prediction when ${whenText(features)}`,
      ...features.map((feature) => `   ${insteadText(feature)}`),
      `   found at ${pointText(point)}`,
    ]);
}

function whenText(features: readonly Feature[]): string {
  if (features.length === 0) return 'the machine is as it is: nothing that was changed helped';
  return features.map(featureText).join(' and ');
}

export function featureText({ dimension, relation, level }: Feature): string {
  const sign = { is: '=', atLeast: '≥', atMost: '≤' }[relation];
  return `${dimension} ${sign} ${levelText(dimension, level)}`;
}

function insteadText({ dimension, instead }: Feature): string {
  const value = levelText(dimension, instead.level);
  return `instead: ${dimension} = ${value} (${instead.excess.toFixed(1)} ×)`;
}

function pointText(point: Point): string {
  return Object.entries(point)
    .map(([name, level]) => `${name} ${levelText(name, level)}`)
    .join(', ');
}

function levelText(dimension: string, level: Level): string {
  if (typeof level === 'boolean') return level ? 'yes' : 'no';
  if (dimension === 'spinUs' && level === spinsAlways) return 'without end';
  if (dimension !== 'bytes') return String(level);
  const bytes = Number(level);
  if (bytes >= 2 ** 20) return `${String(bytes / 2 ** 20)} MiB`;
  return bytes >= 1024 ? `${String(bytes / 1024)} KiB` : `${String(bytes)} B`;
}
