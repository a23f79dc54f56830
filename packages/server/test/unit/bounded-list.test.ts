import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { boundedList, tokenIdList } from '../../src/openai/bounded-list.js';

const limits = { max: 1000, expected: 'a list of 1 to 1000 numbers' };

describe('boundedList', () => {
  it('gives the entries as their schema makes them', () => {
    const doubled = boundedList(
      z.number().transform((value) => value * 2),
      limits,
    );
    expect(doubled.parse([1, 2, 3])).toEqual([2, 4, 6]);
  });

  it('looks no further than the first bad entry, and says where it is', () => {
    let looks = 0;
    const belowThree = z.number().refine((value) => {
      looks += 1;
      return value < 3;
    }, 'expected less than 3');
    const list = Array.from({ length: 1000 }, (_, index) => index);
    const result = boundedList(belowThree, limits).safeParse(list);
    expect(result.error?.issues).toMatchObject([{ path: [3], message: 'expected less than 3' }]);
    expect(looks).toBe(4);
  });

  it('looks at no entry of a list that is too long', () => {
    const never = z.custom(() => {
      throw new Error('looked');
    });
    const result = boundedList(never, limits).safeParse(Array(1001).fill(0));
    expect(result.error?.issues).toMatchObject([
      { message: 'expected a list of 1 to 1000 numbers' },
    ]);
  });

  it.each([undefined, null, 'text', {}, []])('refuses %j', (value) => {
    expect(boundedList(z.any(), limits).safeParse(value).error?.issues).toHaveLength(1);
  });
});

describe('tokenIdList', () => {
  it('takes whole numbers from 0 and hands on the same list', () => {
    const list = [0, 1, 2 ** 31];
    expect(tokenIdList(limits).parse(list)).toBe(list);
  });

  it.each([-1, 0.5, '1', null, NaN])('refuses %j and says where', (bad) => {
    const { error } = tokenIdList(limits).safeParse([7, bad, bad]);
    expect(error?.issues).toMatchObject([{ path: [1] }]);
  });
});
