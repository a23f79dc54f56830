import { RequestError } from '../errors.js';
import type { SamplingOptions } from './sampling-options.js';

/** Sampling options with every field decided. Plain data: it crosses processes as it is. */
export interface ResolvedSampling {
  /** 0 = greedy. */
  readonly temperature: number;
  /** 0 = all. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly seed: number;
}

interface Rule {
  readonly holds: (value: number) => boolean;
  readonly range: string;
}

const rules: Readonly<Record<keyof SamplingOptions, Rule>> = {
  temperature: {
    holds: (value) => Number.isFinite(value) && value >= 0,
    range: 'a finite number of at least 0',
  },
  topK: {
    holds: (value) => Number.isSafeInteger(value) && value >= 0,
    range: 'an integer of at least 0 (0 = all tokens)',
  },
  topP: { holds: (value) => value > 0 && value <= 1, range: 'a number above 0 and at most 1' },
  minP: { holds: (value) => value >= 0 && value <= 1, range: 'a number from 0 to 1' },
  seed: { holds: (value) => Number.isSafeInteger(value), range: 'an integer within ±(2^53 − 1)' },
};

/**
 * Fills a request's sampling options from the model's defaults and checks every field. A request
 * without a seed takes one from `drawSeed`, so a greedy one may still say which.
 *
 * @throws RequestError 'ERR_REQUEST_INVALID' naming the field, its value and the range.
 */
export function resolveSampling(
  request: SamplingOptions,
  modelDefaults: SamplingOptions,
  drawSeed: () => number,
): ResolvedSampling {
  const pick = (field: keyof SamplingOptions, fallback: () => number): number =>
    checked(field, request[field] ?? modelDefaults[field] ?? fallback());
  return {
    temperature: pick('temperature', () => 1),
    topK: pick('topK', () => 0),
    topP: pick('topP', () => 1),
    minP: pick('minP', () => 0),
    seed: pick('seed', drawSeed),
  };
}

function checked(field: keyof SamplingOptions, value: unknown): number {
  const { holds, range } = rules[field];
  if (typeof value === 'number' && holds(value)) return value === 0 ? 0 : value;
  throw new RequestError('ERR_REQUEST_INVALID', {
    message: `${field} is ${String(value)}, expected ${range}.`,
    details: { field, found: value, expected: range },
  });
}
