import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expertRank, layerIndex } from '../spec/units.js';
import { localExpertTable, residentExperts } from './local-experts.js';
import { RowList, type RowSource } from './row-list.js';

const layer = layerIndex(3);
const placementOf = (...ranks: number[][]) => ranks.map((list) => list.map(expertRank));

interface Row {
  local: number;
  slotIndex: number;
  hiddenRow: number;
  answerRow: number;
}

/** The same list by filter and sort. */
function plainRows(sources: RowSource[], localExperts: Int32Array, topK: number): Row[] {
  const rows = sources.flatMap(({ slotIndex, tokens, expertIds }) =>
    [...expertIds.subarray(0, tokens * topK)].map((id, answerRow) => ({
      local: id < 0 ? -1 : (localExperts[id] ?? -1),
      slotIndex,
      hiddenRow: Math.floor(answerRow / topK),
      answerRow,
    })),
  );
  return rows
    .filter(({ local }) => local >= 0)
    .sort((a, b) => a.local - b.local || a.slotIndex - b.slotIndex || a.answerRow - b.answerRow);
}

function rowsOf(list: RowList): Row[] {
  const locals = [...list.rowsPerExpert].flatMap((count, local) =>
    Array<number>(count).fill(local),
  );
  return locals.map((local, row) => ({
    local,
    slotIndex: list.slotIndex[row] ?? -1,
    hiddenRow: list.hiddenRow[row] ?? -1,
    answerRow: list.answerRow[row] ?? -1,
  }));
}

describe('localExpertTable', () => {
  const placement = placementOf([0], [1, 0], [0, 1], [1]);

  it('numbers the resident experts of a rank, replicas included', () => {
    expect(residentExperts(placement, expertRank(0))).toEqual([0, 1, 2]);
    expect(residentExperts(placement, expertRank(1))).toEqual([1, 2, 3]);
    expect([...localExpertTable(placement, expertRank(0))]).toEqual([0, 1, 2, -1]);
    expect([...localExpertTable(placement, expertRank(1))]).toEqual([-1, 0, 1, 2]);
  });
});

describe('RowList', () => {
  const shapes = fc
    .record({
      topK: fc.integer({ min: 1, max: 4 }),
      expertCount: fc.integer({ min: 1, max: 9 }),
      ranks: fc.integer({ min: 1, max: 3 }),
      merges: fc.integer({ min: 1, max: 3 }),
    })
    .chain((shape) =>
      fc.record({
        shape: fc.constant(shape),
        placement: fc.array(fc.integer({ min: 0, max: shape.ranks - 1 }), {
          minLength: shape.expertCount,
          maxLength: shape.expertCount,
        }),
        merges: fc.array(
          fc.array(
            fc.array(
              fc.array(fc.integer({ min: -1, max: shape.expertCount - 1 }), {
                minLength: shape.topK,
                maxLength: shape.topK,
              }),
              { maxLength: 6 },
            ),
            { maxLength: 4 },
          ),
          { minLength: 1, maxLength: 3 },
        ),
      }),
    );

  it('equals filter and sort, on every rank and again after every merge', () => {
    fc.assert(
      fc.property(shapes, ({ shape, placement, merges }) => {
        const ranks = placementOf(...placement.map((rank) => [rank]));
        for (let rank = 0; rank < shape.ranks; rank++) {
          const localExperts = localExpertTable(ranks, expertRank(rank));
          const list = new RowList({
            localExperts,
            localExpertCount: residentExperts(ranks, expertRank(rank)).length,
            topK: shape.topK,
            rowsMax: 4 * 6 * shape.topK,
          });
          for (const slots of merges) {
            const sources = slots.map((ids, slotIndex) => ({
              slotIndex,
              tokens: ids.length,
              expertIds: Int32Array.from(ids.flat()),
            }));
            list.merge(layer, sources, sources.length);
            const expected = plainRows(sources, localExperts, shape.topK);
            expect(list.rowCount).toBe(expected.length);
            expect(rowsOf(list)).toEqual(expected);
          }
        }
      }),
    );
  });

  const list = () =>
    new RowList({
      localExperts: Int32Array.of(0, 1),
      localExpertCount: 2,
      topK: 1,
      rowsMax: 2,
    });
  const merge = (...ids: number[]) => {
    const source = { slotIndex: 0, tokens: ids.length, expertIds: Int32Array.from(ids) };
    return () => list().merge(layer, [source], 1);
  };

  it('refuses ids that no expert has', () => {
    expect(merge(0, 2)).toThrow(expect.objectContaining({ code: 'ERR_FRAME_INVALID' }) as Error);
    expect(merge(0, -2)).toThrow(expect.objectContaining({ code: 'ERR_FRAME_INVALID' }) as Error);
  });

  it('refuses more rows than it has room for', () => {
    expect(merge(0, 1)).not.toThrow();
    expect(merge(0, 1, 0)).toThrow(expect.objectContaining({ code: 'ERR_FRAME_INVALID' }) as Error);
  });

  describe('where a source says who takes what', () => {
    const taken = (expertIds: number[], expertRanks: number[]) => {
      const rows = new RowList({
        localExperts: Int32Array.of(0, 1, -1),
        localExpertCount: 2,
        topK: 2,
        rowsMax: 8,
        rank: 1,
      });
      const source = {
        slotIndex: 0,
        tokens: expertIds.length / 2,
        expertIds: Int32Array.from(expertIds),
        expertRanks: Int32Array.from(expertRanks),
      };
      return () => rowsOf(rows.merge(layer, [source], 1)).map(({ answerRow }) => answerRow);
    };

    it('takes the rows given to its rank, by expert, and leaves replicas their own', () => {
      expect(taken([0, 1, 1, 0, 2, -1], [1, 1, 0, 1, 0, -1])()).toEqual([0, 3, 1]);
    });

    it('refuses rows of experts it does not hold', () => {
      expect(taken([0, 2], [0, 1])).toThrow('expert 2, which is not on expert rank 1');
    });

    it('refuses ids that no expert has, whoever they are given to', () => {
      expect(taken([0, 3], [1, 0])).toThrow(
        expect.objectContaining({ code: 'ERR_FRAME_INVALID' }) as Error,
      );
    });
  });

  it('refuses a source shorter than its token count', () => {
    const source = { slotIndex: 0, tokens: 2, expertIds: Int32Array.of(0) };
    expect(() => list().merge(layer, [source], 1)).toThrow('expert id');
  });
});
