import { describe, expect, it } from 'vitest';
import { sizeNumber } from '../../src/flags/number-flags.js';

describe('a number that may be written as a size', () => {
  it.each([
    ['tokens', '4096', 4096],
    ['tokens', '32K', 32 * 1024],
    ['bytes', '2MiB', 2 * 2 ** 20],
  ] as const)('in %s: %s', (unit, text, value) => {
    expect(sizeNumber(unit, 1)(text)).toBe(value);
  });

  it.each(['0', '-1', '1.5', 'many', '', '2MiB'])('is not %j tokens', (text) => {
    expect(() => sizeNumber('tokens', 1)(text)).toThrow('at least 1, or a size like 32K');
  });
});
