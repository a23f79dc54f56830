import { kvPageId, type KvPageId } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PagePool, pagesForTokens, pagesMissing } from '../../src/index.js';

const allocateMany = (pool: PagePool, count: number) =>
  Array.from({ length: count }, () => pool.allocate());

describe('the page pool', () => {
  it('allocates the lowest page first, and the page freed last before all others', () => {
    const pool = new PagePool(4);
    expect(allocateMany(pool, 3)).toEqual([0, 1, 2]);
    pool.free([kvPageId(0), kvPageId(1)]);
    expect(allocateMany(pool, 3)).toEqual([0, 1, 3]);
  });

  it('refuses to take from an empty pool', () => {
    const pool = new PagePool(1);
    pool.allocate();
    expect(() => pool.allocate()).toThrow(/All 1 KV pages are taken/);
  });

  it.each([
    { name: 'a page that is free', pages: [1] },
    { name: 'the same page twice in one call', pages: [0, 0] },
  ])('refuses to take back $name and stays as it was', ({ pages }) => {
    const pool = new PagePool(2);
    pool.allocate();
    expect(() => {
      pool.free(pages.map(kvPageId));
    }).toThrow(/not all were taken/);
    expect(pool.freeCount).toBe(1);
  });

  it('refuses to take back what it has back already', () => {
    const pool = new PagePool(2);
    const page = pool.allocate();
    pool.free([page]);
    expect(() => {
      pool.free([page]);
    }).toThrow(/not all were taken/);
    expect(pool.freeCount).toBe(2);
  });

  it.each([-1, 2, 0.5])('refuses page %d, which is of no pool of 2', (page) => {
    const pool = new PagePool(2);
    const own = pool.allocate();
    expect(() => {
      pool.free([own, kvPageId(page)]);
    }).toThrow(/not of this pool/);
    expect(pool.freeCount).toBe(1);
  });

  it.each([0, -1, 1.5, NaN])('cannot be made of %d pages', (count) => {
    expect(() => new PagePool(count)).toThrow(RangeError);
  });

  it('never gives one page to two holders, and counts right, whatever the order', () => {
    const pageCount = 8;
    const moves = fc.array(fc.integer({ min: -pageCount, max: pageCount }), { maxLength: 60 });
    fc.assert(
      fc.property(moves, (counts) => {
        const pool = new PagePool(pageCount);
        const held: KvPageId[] = [];
        for (const count of counts) {
          if (count < 0) pool.free(held.splice(0, -count));
          else held.push(...allocateMany(pool, Math.min(count, pool.freeCount)));
          expect(new Set(held).size).toBe(held.length);
          expect(pool.freeCount).toBe(pageCount - held.length);
        }
      }),
    );
  });
});

describe('pages for tokens', () => {
  it.each([
    [0, 0],
    [1, 1],
    [16, 1],
    [17, 2],
  ])('%d tokens need %d pages of 16', (tokens, pages) => {
    expect(pagesForTokens(tokens, 16)).toBe(pages);
  });

  it('are missing as far as the ones that are there do not hold the tokens', () => {
    const count = fc.integer({ min: 0, max: 300 });
    fc.assert(
      fc.property(count, count, fc.integer({ min: 1, max: 20 }), (tokens, kvPages, kvPageSize) => {
        const missing = Math.max(0, pagesForTokens(tokens, kvPageSize) - kvPages);
        expect(pagesMissing(tokens, kvPages, kvPageSize)).toBe(missing);
      }),
    );
  });
});
