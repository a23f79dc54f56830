import type { M2nFigures } from '../m2n-figures.js';
import type { Traffic } from '../traffic.js';
import { fitLine, type Line } from './line-fit.js';
import type { Verdict } from './search-anomalies.js';

/** What is compared with its prediction, in microseconds: larger is worse. */
export const figureNames = ['median', 'P99', 'round trip', 'stream', 'both ways'] as const;
export type FigureName = (typeof figureNames)[number];

/** By name; absent where the traffic was measured in one direction. */
export type Times = Readonly<Partial<Record<FigureName, number>>>;

/** What a message costs the rank or core that is busiest with it. */
export interface Load {
  readonly messages: number;
  readonly bytes: number;
}

/**
 * The busiest of all ranks (a sender's rows to all receivers, the hot receiver's from all senders)
 * or, where ranks outnumber the cores, one core's share of all that is written and read.
 */
export function loadOf({ senders, receivers, bytes, skew = false }: Traffic, cores: number): Load {
  const cold = skew && receivers > 1 ? bytes / 4 : bytes;
  const hot = bytes * receivers - cold * (receivers - 1);
  const dispatches = senders * receivers;
  return {
    messages: Math.max(senders, receivers, (2 * dispatches) / cores),
    bytes: Math.max(bytes * receivers, hot * senders, (2 * dispatches * bytes) / cores),
  };
}

/**
 * The times of one message of all senders; of rates, what a message takes when several are under
 * way.
 */
export function timesOf({ senders, receivers, bytes }: Traffic, figures: M2nFigures): Times {
  const { latencyUs, roundTripUs, gigabytesPerSecond, bothDirectionsGigabytesPerSecond } = figures;
  const perMessage = (rate: number): number => (senders * receivers * bytes) / rate / 1000;
  return {
    median: latencyUs.p50,
    P99: latencyUs.p99,
    ...(roundTripUs === undefined ? {} : { 'round trip': roundTripUs.p50 }),
    stream: perMessage(gigabytesPerSecond),
    ...(bothDirectionsGigabytesPerSecond === undefined
      ? {}
      : { 'both ways': 2 * perMessage(bothDirectionsGigabytesPerSecond) }),
  };
}

export type TrafficModel = Readonly<Record<FigureName, Line>>;

/** Fits each figure's line through measurements of one sender and one receiver. */
export function fitModel(
  calm: readonly { readonly bytes: number; readonly times: Times }[],
): TrafficModel {
  const lineOf = (name: FigureName): Line =>
    fitLine(
      calm.flatMap(({ bytes, times }) => {
        const y = times[name];
        return y === undefined ? [] : [{ x: bytes, y }];
      }),
    );
  return {
    median: lineOf('median'),
    P99: lineOf('P99'),
    'round trip': lineOf('round trip'),
    stream: lineOf('stream'),
    'both ways': lineOf('both ways'),
  };
}

export function predictedUs({ alpha, beta }: Line, { messages, bytes }: Load): number {
  return alpha * messages + beta * bytes;
}

/** The figure that exceeds its prediction most. */
export function worstOf(model: TrafficModel, load: Load, times: Times): Verdict {
  let worst: Verdict = { excess: 0, figure: 'median' };
  for (const name of figureNames) {
    const time = times[name];
    if (time === undefined) continue;
    const excess = time / predictedUs(model[name], load);
    if (excess > worst.excess) worst = { excess, figure: name };
  }
  return worst;
}
