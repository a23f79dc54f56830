import { expect, it } from 'vitest';
import { randomPrompts } from '../../../src/model/random-prompts.js';

it('makes prompts by the seed alone, over the whole vocabulary', () => {
  const sizes = { count: 4, tokens: 500, vocabSize: 10, seed: 7 };
  const prompts = randomPrompts(sizes);
  expect(prompts).toEqual(randomPrompts(sizes));
  expect(prompts).not.toEqual(randomPrompts({ ...sizes, seed: 8 }));
  expect(prompts.map(({ length }) => length)).toEqual([500, 500, 500, 500]);
  expect(prompts[0]).not.toEqual(prompts[1]);
  expect([...new Set(prompts.flat())].sort((a, b) => a - b)).toEqual([
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
  ]);
});
