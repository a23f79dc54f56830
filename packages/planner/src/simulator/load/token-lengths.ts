import { ConfigError } from '@megascale/core';
import type { RandomStream } from '../random-stream.js';

/** Log-normal lengths: ln(length) has the mean ln(median) and the standard deviation sigma. */
export interface LengthDistribution {
  readonly median: number;
  /** 0: every length is the median. */
  readonly sigma: number;
  /** Longer ones count as this. */
  readonly max: number;
}

export interface TokenLengths {
  readonly prompt: LengthDistribution;
  readonly output: LengthDistribution;
}

/**
 * The medians of the paper's production traces (571 in, 159 out). It gives no spread; sigma 0.8 is
 * ours, and makes the means 786 and 219 tokens.
 */
export const paperLengths: TokenLengths = {
  prompt: { median: 571, sigma: 0.8, max: 16_384 },
  output: { median: 159, sigma: 0.8, max: 4096 },
};

/** A whole number of tokens, at least 1. */
export function drawLength(
  { median, sigma, max }: LengthDistribution,
  random: RandomStream,
): number {
  const length = sigma === 0 ? median : median * Math.exp(sigma * random.normal());
  return Math.min(max, Math.max(1, Math.round(length)));
}

/** Without the limit at `max`. */
export function meanLength({ median, sigma }: LengthDistribution): number {
  return median * Math.exp((sigma * sigma) / 2);
}

/** @throws ConfigError 'ERR_CONFIG_FIELD'. */
export function checkLengths({ prompt, output }: TokenLengths): void {
  for (const [field, { median, sigma, max }] of Object.entries({ prompt, output })) {
    const fits = median >= 1 && sigma >= 0 && sigma <= 4 && Number.isInteger(max) && max >= 1;
    if (fits && max <= 1_048_576) continue;
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message: `Lengths of ${field}: median ${median}, sigma ${sigma}, max ${max}. Give a median of at least 1, sigma from 0 to 4, and a whole maximum up to 1048576.`,
      details: { path: `lengths.${field}`, median, sigma, max },
    });
  }
}
