import type { WorkerProfile } from '@megascale/engine';
import { decodeWindow, recordsBetween } from '../model/decode-window.js';
import type { ProfiledTime } from '../model/op-table.js';

/** One run, in figures that do not depend on the machine's bounds. */
export interface RunFigures {
  readonly tokensPerSecond: number;
  /**
   * Of decode: from one step's end to the next. Of prefill: from submission to all first tokens.
   */
  readonly timesMs: readonly number[];
  /** Weights, keys and values touched. */
  readonly bytes: number;
  readonly flops: number;
  readonly seconds: number;
  readonly tokens: number;
  readonly window: ProfiledTime;
}

export function decodeFigures(profiles: readonly WorkerProfile[]): RunFigures {
  const window = decodeWindow(profiles);
  const { stepTimesUs, tokens, tokensPerSecond, bytes, flops, startUs, endUs } = window;
  const attentionWorkers = profiles.filter(({ role }) => role === 'attention').length;
  return {
    tokensPerSecond,
    timesMs: stepTimesUs.map((us) => us / 1000),
    bytes,
    flops,
    seconds: (endUs - startUs) / 1e6,
    tokens,
    window: { startUs, endUs, steps: stepTimesUs.length / attentionWorkers },
  };
}

/** `promptTokens`: of all sequences together. */
export function prefillFigures(
  profiles: readonly WorkerProfile[],
  run: { readonly startUs: number; readonly endUs: number; readonly promptTokens: number },
): RunFigures {
  const { startUs, endUs, promptTokens } = run;
  const records = recordsBetween(profiles, startUs, endUs);
  const seconds = (endUs - startUs) / 1e6;
  return {
    tokensPerSecond: promptTokens / seconds,
    timesMs: [seconds * 1000],
    bytes: records.reduce((sum, { weightBytes, kvBytes }) => sum + weightBytes + kvBytes, 0),
    flops: records.reduce((sum, { flops }) => sum + flops, 0),
    seconds,
    tokens: promptTokens,
    window: { startUs, endUs, steps: 1 },
  };
}
