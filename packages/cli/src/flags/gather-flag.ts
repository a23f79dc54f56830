import type { LlmOptions } from '@megascale/engine';
import { InvalidArgumentError } from 'commander';
import { wholeNumber } from './number-flags.js';

type Gather = NonNullable<LlmOptions['gather']>;

/** Commander's parser of `--gather`: 'lockstep', 'layer' or 'window=200'. */
export function gatherFlag(text: string): Gather {
  if (text === 'lockstep' || text === 'layer') return { type: text };
  const [, windowUs] = /^window=(\d+)$/.exec(text) ?? [];
  if (windowUs !== undefined) return { type: 'window', windowUs: wholeNumber(0)(windowUs) };
  throw new InvalidArgumentError('Expected lockstep, layer or window=<µs>.');
}
