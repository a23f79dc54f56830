import { describe, expect, it } from 'vitest';
import { philox } from '../../../src/sampling/philox.js';
import { positionRandom } from '../../../src/sampling/position-random.js';

describe('philox', () => {
  // The known answers that its authors publish for philox4x32 with 10 rounds.
  it.each([
    [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    ],
  ])('gives the published words of counter %j', (counter, [low = 0, high = 0], expected) => {
    const words = Uint32Array.from(counter);
    philox(words, low, high);
    expect([...words].map((word) => word.toString(16).padStart(8, '0')).join(' ')).toBe(expected);
  });
});

describe('positionRandom', () => {
  const scratch = new Uint32Array(4);
  const draw = (seed: number, position: number): number => positionRandom(seed, position, scratch);

  it('depends on every bit of the seed and on the position, and on nothing before', () => {
    const seeds = [0, 1, -1, 2 ** 31, 2 ** 32, 2 ** 52, -(2 ** 53) + 1, 2 ** 53 - 1];
    const positions = [0, 1, 2 ** 31, 2 ** 32 + 1];
    const numbers = seeds.flatMap((seed) => positions.map((position) => draw(seed, position)));
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(draw(1, 2)).toBe(draw(1, 2));
    expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
  });

  it('keeps its first numbers for ever', () => {
    // 0x6627e8d5 and 0xe169c58d of the vector above: their upper 27 and 26 bits.
    expect(draw(0, 0)).toBe(((0x6627e8d5 >>> 5) * 2 ** 26 + (0xe169c58d >>> 6)) / 2 ** 53);
  });
});
