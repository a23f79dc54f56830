import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  fillRandomBfloat16,
  fnv1a32,
  randomWord,
  streamKey,
} from '../../../../src/weights/random/random-weights.js';

interface ElementVector {
  readonly name: string;
  readonly shape: readonly number[];
  readonly seed: number;
  readonly index: number;
  readonly nameHash: number;
  readonly streamKey: number;
  readonly word: number;
  readonly valueBits: number;
}

const fixture = new URL(
  '../../../../../../tools/goldens/fixtures/random-weights.json',
  import.meta.url,
);
const { elements } = JSON.parse(readFileSync(fixture, 'utf8')) as { elements: ElementVector[] };

describe('fillRandomBfloat16', () => {
  it.each(elements)('gives element $index of $name with seed $seed to the bit', (vector) => {
    const { name, shape, seed, index } = vector;
    expect(fnv1a32(name)).toBe(vector.nameHash);
    expect(streamKey(name, seed)).toBe(vector.streamKey);
    expect(randomWord(name, seed, index)).toBe(vector.word);
    const one = new Uint16Array(1);
    fillRandomBfloat16(one, { name, shape, seed }, index);
    expect(one[0]).toBe(vector.valueBits);
  });

  it('gives the same elements whole and in pieces', () => {
    const tensor = { name: 'w', shape: [10, 10], seed: 5 };
    const whole = new Uint16Array(100);
    fillRandomBfloat16(whole, tensor);
    const pieces = new Uint16Array(100);
    for (const [start, end] of [
      [37, 100],
      [0, 1],
      [1, 37],
    ] as const) {
      fillRandomBfloat16(pieces.subarray(start, end), tensor, start);
    }
    expect(pieces).toEqual(whole);
    expect(new Set(whole).size).toBeGreaterThan(80);
  });
});
