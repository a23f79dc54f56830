import { spreadOf, type Spread } from '../measure/spread.js';
import type { M2nFigures, Percentiles } from './m2n-figures.js';

/** Medians over the rounds; `latencyP50Us` says how far these lay apart. */
export interface PointFigures extends M2nFigures {
  readonly latencyP50Us: Spread;
}

/** A contender's figures, what brings it, or why it failed. */
export type Baseline =
  | (PointFigures & { readonly variant: string })
  | { readonly absent: string }
  | { readonly failed: string };

/** One size. */
export interface M2nPoint {
  readonly senders: number;
  readonly receivers: number;
  readonly bytes: number;
  readonly ours: PointFigures;
  readonly baselines: Readonly<Record<string, Baseline>>;
}

/** The runs of one contender, by its way to do it. */
export interface Rounds {
  readonly runs: Map<string, M2nFigures[]>;
  /** The ways that go on after the first round. */
  kept?: ReadonlySet<string>;
  absent?: string;
  failed?: string;
}

/** @throws RangeError without runs. */
export function figuresOfRounds(runs: readonly M2nFigures[]): PointFigures {
  const both = medianOf(runs.flatMap(({ bothDirectionsGigabytesPerSecond: value }) => value ?? []));
  const heap = medianOf(runs.flatMap(({ heapBytesPerMessage: value }) => value ?? []));
  const trips = runs.flatMap(({ roundTripUs }) => roundTripUs ?? []);
  return {
    latencyUs: percentilesOfRounds(runs.map(({ latencyUs }) => latencyUs)),
    latencyP50Us: spreadOf(runs.map(({ latencyUs }) => latencyUs.p50)),
    dispatchUs: percentilesOfRounds(runs.map(({ dispatchUs }) => dispatchUs)),
    ...(trips.length === 0 ? {} : { roundTripUs: percentilesOfRounds(trips) }),
    gigabytesPerSecond: spreadOf(runs.map(({ gigabytesPerSecond: rate }) => rate)).median,
    ...(both === undefined ? {} : { bothDirectionsGigabytesPerSecond: both }),
    ...(heap === undefined ? {} : { heapBytesPerMessage: heap }),
  };
}

function percentilesOfRounds(rounds: readonly Percentiles[]): Percentiles {
  const median = (part: keyof Percentiles): number =>
    spreadOf(rounds.map((round) => round[part])).median;
  return { p50: median('p50'), p99: median('p99'), p999: median('p999') };
}

function medianOf(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : spreadOf(values).median;
}
