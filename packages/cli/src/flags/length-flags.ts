import { paperLengths, type TokenLengths } from '@megascale/planner';
import type { Command } from 'commander';
import { realNumber } from './number-flags.js';

/** Values of the flags that `addLengthFlags` adds. */
export interface LengthFlags {
  readonly promptMedian: number;
  readonly outputMedian: number;
  readonly lengthSigma: number;
  readonly seed: number;
}

/**
 * How long prompts and answers are: log-normal, by default with the medians of MegaScale-Infer's
 * traces.
 */
export function addLengthFlags(command: Command): Command {
  const median = realNumber(1, 1_000_000);
  const { prompt, output } = paperLengths;
  return command
    .option('--prompt-median <tokens>', 'of log-normal prompt lengths', median, prompt.median)
    .option('--output-median <tokens>', 'of log-normal output lengths', median, output.median)
    .option('--length-sigma <σ>', 'of the logarithm of both', realNumber(0, 4), prompt.sigma);
}

export function lengthsOf({ promptMedian, outputMedian, lengthSigma }: LengthFlags): TokenLengths {
  const { prompt, output } = paperLengths;
  return {
    prompt: { ...prompt, median: promptMedian, sigma: lengthSigma },
    output: { ...output, median: outputMedian, sigma: lengthSigma },
  };
}
