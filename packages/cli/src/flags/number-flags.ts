import type { OptionUnit } from '@megascale/engine';
import { InvalidArgumentError } from 'commander';
import { quantity } from '../options/quantity.js';

/** A commander parser for a whole number within limits. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^[+-]?\d+$/.test(text) && value >= min && value <= max) return value;
    const upTo = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`Expected a whole number ${upTo}.`);
  };
}

/** A commander parser for a whole number that may be written as a size: '32K' tokens, '2MiB'. */
export function sizeNumber(unit: OptionUnit, min: number): (text: string) => number {
  return (text) => {
    const value = quantity(text, unit);
    if (value !== undefined && Number.isSafeInteger(value) && value >= min) return value;
    const example = unit === 'bytes' ? '2MiB' : '32K';
    throw new InvalidArgumentError(
      `Expected a whole number of at least ${min}, or a size like ${example}.`,
    );
  };
}

/** Any safe integer, as seeds are. */
export const safeInteger = wholeNumber(-Number.MAX_SAFE_INTEGER);

/** A commander parser for a finite number within limits. */
export function realNumber(min: number, max = Infinity): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value) && value >= min && value <= max) return value;
    const upTo = max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`Expected a number ${upTo}.`);
  };
}

/** '1,2,3' → [1, 2, 3] */
export function tokenIdList(text: string): number[] {
  const parse = wholeNumber(0);
  try {
    return text.split(',').map((part) => parse(part.trim()));
  } catch {
    throw new InvalidArgumentError('Expected token ids, separated by commas: 1,2,3.');
  }
}
