import { BenchError } from '../bench-error.js';
import type { OpRecord } from '@megascale/core';
import type { StepRecord, WorkerProfile } from '@megascale/engine';

/** The part of a run in which every sequence decodes: one token each per step. */
export interface DecodeWindow {
  readonly startUs: number;
  readonly endUs: number;
  /** Of all attention workers, microseconds from one step's end to the next. */
  readonly stepTimesUs: readonly number[];
  readonly tokens: number;
  /** Each attention worker's tokens over its own part of the window, added up. */
  readonly tokensPerSecond: number;
  readonly bytes: number;
  readonly flops: number;
}

/**
 * Steps in which all of a worker's sequences got a token and nothing else was computed; the first
 * of them only starts the clock. Work is what all workers recorded between the first and the last
 * of these step ends: at a step's end nothing is under way.
 *
 * @throws BenchError when a run was too short, or longer than its records.
 */
export function decodeWindow(profiles: readonly WorkerProfile[]): DecodeWindow {
  const parts = profiles
    .filter(({ role }) => role === 'attention')
    .map(({ steps }) => pureDecode(steps))
    .filter((steps) => steps.length > 0);
  const ends = parts.map((steps) => steps.map(({ endUs }) => endUs));
  const startUs = Math.min(...ends.map((times) => times[0] ?? Infinity));
  const endUs = Math.max(...ends.map((times) => times.at(-1) ?? -Infinity));
  const stepTimesUs = ends.flatMap((times) =>
    times.slice(1).map((end, i) => end - (times[i] ?? end)),
  );
  if (stepTimesUs.length === 0) {
    throw new BenchError(
      'No two decode steps in a row had all sequences in them. Ask for more output tokens, at least 4.',
    );
  }
  const rates = parts.map((steps) => {
    const tokens = steps.slice(1).reduce((sum, { outputTokens }) => sum + outputTokens, 0);
    const us = (steps.at(-1)?.endUs ?? 0) - (steps[0]?.endUs ?? 0);
    return { tokens, perSecond: us > 0 ? (tokens / us) * 1e6 : 0 };
  });
  const records = recordsBetween(profiles, startUs, endUs);
  return {
    startUs,
    endUs,
    stepTimesUs,
    tokens: rates.reduce((sum, { tokens }) => sum + tokens, 0),
    tokensPerSecond: rates.reduce((sum, { perSecond }) => sum + perSecond, 0),
    bytes: records.reduce((sum, { weightBytes, kvBytes }) => sum + weightBytes + kvBytes, 0),
    flops: records.reduce((sum, { flops }) => sum + flops, 0),
  };
}

/**
 * The ops of all workers that ran between two times. @throws BenchError when some were not
 * recorded.
 */
export function recordsBetween(
  profiles: readonly WorkerProfile[],
  startUs: number,
  endUs: number,
): OpRecord[] {
  const stages = profiles.flatMap((profile) => profile.stages);
  if (stages.some(({ recordsLost }) => recordsLost > 0)) {
    throw new BenchError('The run has more ops than can be recorded. Ask for fewer output tokens.');
  }
  return stages.flatMap(({ records }) => records.filter(isWithin({ startUs, endUs })));
}

/** By the middle of the op: clocks of two threads agree to some microseconds only. */
export function isWithin(window: {
  readonly startUs: number;
  readonly endUs: number;
}): (record: OpRecord) => boolean {
  return ({ startUs, endUs }) => {
    const middleUs = (startUs + endUs) / 2;
    return middleUs >= window.startUs && middleUs <= window.endUs;
  };
}

/** The longest-batched steps that only decode. */
function pureDecode(steps: readonly StepRecord[]): StepRecord[] {
  const decode = steps.filter(({ outputTokens, tokens }) => tokens > 0 && outputTokens === tokens);
  const most = Math.max(0, ...decode.map(({ outputTokens }) => outputTokens));
  return decode.filter(({ outputTokens }) => outputTokens === most);
}
