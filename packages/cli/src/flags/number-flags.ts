import { InvalidArgumentError } from 'commander';

/** A commander parser for a whole number within limits. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^[+-]?\d+$/.test(text) && value >= min && value <= max) return value;
    const upTo = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`Expected a whole number ${upTo}.`);
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
