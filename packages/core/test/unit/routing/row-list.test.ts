import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expertRank, layerIndex } from '../../../src/spec/units.js';
import { residentExperts, residentTable } from '../../../src/routing/local-experts.js';
import { RowList, type RowSource } from '../../../src/routing/row-list.js';

const layer = layerIndex(3);
const placementOf = (...ranks: number[][]) => ranks.map((list) => list.map(expertRank));

interface Row {
  expert: number;
  slotIndex: number;
  hiddenRow: number;
  answerRow: number;
}

/** The same list by filter and sort. */
function plainRows(sources: RowSource[], topK: number): Row[] {
  const rows = sources.flatMap(({ slotIndex, tokens, expertIds, residents }) =>
    [...expertIds.subarray(0, tokens * topK)].map((id, answerRow) => ({
      expert: residents[id] === 1 ? id : -1,
      slotIndex,
      hiddenRow: Math.floor(answerRow / topK),
      answerRow,
    })),
  );
  return rows
    .filter(({ expert }) => expert >= 0)
    .sort((a, b) => a.expert - b.expert || a.slotIndex - b.slotIndex || a.answerRow - b.answerRow);
}

function rowsOf(list: RowList): Row[] {
  const experts = [...list.rowsPerExpert].flatMap((count, expert) =>
    Array<number>(count).fill(expert),
  );
  return experts.map((expert, row) => ({
    expert,
    slotIndex: list.slotIndex[row] ?? -1,
    hiddenRow: list.hiddenRow[row] ?? -1,
    answerRow: list.answerRow[row] ?? -1,
  }));
}

describe('residentTable', () => {
  const placement = placementOf([0], [1, 0], [0, 1], [1]);

  it('marks the resident experts of a rank, replicas included', () => {
    expect(residentExperts(placement, expertRank(0))).toEqual([0, 1, 2]);
    expect(residentExperts(placement, expertRank(1))).toEqual([1, 2, 3]);
    expect([...residentTable(placement, expertRank(0))]).toEqual([1, 1, 1, 0]);
    expect([...residentTable(placement, expertRank(1))]).toEqual([0, 1, 1, 1]);
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
        /** The placement of even slots, and of odd ones: sources of two epochs are merged. */
        placements: fc.array(
          fc.array(fc.integer({ min: 0, max: shape.ranks - 1 }), {
            minLength: shape.expertCount,
            maxLength: shape.expertCount,
          }),
          { minLength: 2, maxLength: 2 },
        ),
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
      fc.property(shapes, ({ shape, placements, merges }) => {
        const epochs = placements.map((each) => placementOf(...each.map((rank) => [rank])));
        for (let rank = 0; rank < shape.ranks; rank++) {
          const residents = epochs.map((each) => residentTable(each, expertRank(rank)));
          const list = new RowList({
            expertCount: shape.expertCount,
            topK: shape.topK,
            rowsMax: 4 * 6 * shape.topK,
          });
          for (const slots of merges) {
            const sources = slots.map((ids, slotIndex) => ({
              slotIndex,
              tokens: ids.length,
              expertIds: Int32Array.from(ids.flat()),
              residents: residents[slotIndex % 2] ?? new Uint8Array(),
            }));
            list.merge(layer, sources, sources.length);
            const expected = plainRows(sources, shape.topK);
            expect(list.rowCount).toBe(expected.length);
            expect(rowsOf(list)).toEqual(expected);
          }
        }
      }),
    );
  });

  const list = () => new RowList({ expertCount: 2, topK: 1, rowsMax: 2 });
  const residents = Uint8Array.of(1, 1);
  const merge = (...ids: number[]) => {
    const source = { slotIndex: 0, tokens: ids.length, expertIds: Int32Array.from(ids), residents };
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
      const rows = new RowList({ expertCount: 3, topK: 2, rowsMax: 8, rank: 1 });
      const source = {
        slotIndex: 0,
        tokens: expertIds.length / 2,
        expertIds: Int32Array.from(expertIds),
        expertRanks: Int32Array.from(expertRanks),
        residents: Uint8Array.of(1, 1, 0),
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
    const source = { slotIndex: 0, tokens: 2, expertIds: Int32Array.of(0), residents };
    expect(() => list().merge(layer, [source], 1)).toThrow('expert id');
  });
});
