import { percentile } from '../../measure/spread.js';
import type { PredictRow } from './predict-bench.js';

/** Of a set of predictions: absolute relative errors of TPOT and of tokens per second. */
export interface ErrorSummary {
  readonly runs: number;
  readonly medianTpotError: number;
  readonly worstTpotError: number;
  readonly medianRateError: number;
  readonly worstRateError: number;
}

/** @throws RangeError without rows. */
export function summaryOf(rows: readonly PredictRow[]): ErrorSummary {
  const tpot = rows.map(({ tpotError }) => Math.abs(tpotError));
  const rate = rows.map(({ rateError }) => Math.abs(rateError));
  return {
    runs: rows.length,
    medianTpotError: percentile(tpot, 50),
    worstTpotError: percentile(tpot, 100),
    medianRateError: percentile(rate, 50),
    worstRateError: percentile(rate, 100),
  };
}

/** The table, and what it comes to. */
export function predictText(rows: readonly PredictRow[]): string {
  const lines = [
    `${'model'.padEnd(16)}${'deployment'.padEnd(36)}batch   TPOT predicted  measured   error    tokens/s predicted  measured   error    pace`,
    ...rows.map(lineOf),
    '',
    summaryLine(summaryOf(rows)),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

export function summaryLine(summary: ErrorSummary): string {
  const { runs, medianTpotError, worstTpotError, medianRateError, worstRateError } = summary;
  return `${runs} runs: TPOT off by ${percent(medianTpotError)} (median), ${percent(worstTpotError)} (worst); tokens per second by ${percent(medianRateError)}, ${percent(worstRateError)}`;
}

function lineOf(row: PredictRow): string {
  const { predicted, measured } = row;
  const ms = (us: number): string => (us / 1000).toFixed(2).padStart(8);
  const rate = (value: number): string => value.toFixed(1).padStart(9);
  return [
    row.model.padEnd(16).slice(0, 16),
    row.deployment.padEnd(36),
    String(row.batch).padStart(5),
    `${ms(predicted.tpotUs)} ms`.padStart(17),
    ms(measured.tpotUs).padStart(10),
    signed(row.tpotError).padStart(9),
    rate(predicted.tokensPerSecond).padStart(19),
    rate(measured.tokensPerSecond).padStart(11),
    signed(row.rateError).padStart(9),
    row.pace.toFixed(2).padStart(8),
  ].join('');
}

function percent(value: number): string {
  return `${(value * 100).toFixed(1)} %`;
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${percent(Math.abs(value))}`;
}
