import { kvPageId, sequenceId } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  admitSequence,
  buildMicroBatches,
  IntArrays,
  pagesForTokens,
  Seats,
  startSequence,
  type PlannedMicroBatch,
  type RunningSequence,
} from '../../src/index.js';

const count = (min: number, max: number) => fc.integer({ min, max });

const limits = (kvPageSize: number, microBatchCount: number) => ({
  ...{ tokensPerMicroBatchMax: 100, kvPageSize },
  pace: { microBatchCount },
});

/** Sequences that have computed all their prompt but its last token. */
class Decoding {
  readonly seats = new Seats();
  readonly #kvPageSize: number;
  #pages = 0;

  constructor(kvPageSize: number) {
    this.#kvPageSize = kvPageSize;
  }

  start(id: number, promptTokens: number): RunningSequence {
    const request = {
      ...{ id: sequenceId(id), promptTokens: Array.from({ length: promptTokens }, (_, i) => i) },
      ...{ maxTokens: 100, eosTokenIds: [], ignoreEos: true, arrivedAtMs: 0, sampling: {} },
    };
    const sequence = startSequence(admitSequence(request, id), this.seats);
    sequence.computedTokens = promptTokens - 1;
    this.grow(sequence);
    return sequence;
  }

  /** Pages up to its next token. */
  grow({ seat, computedTokens }: RunningSequence): void {
    const { pages } = this.seats;
    while (pages.length(seat) < pagesForTokens(computedTokens + 1, this.#kvPageSize)) {
      pages.push(seat, kvPageId((this.#pages += 1)));
    }
  }
}

const shown = (planned: readonly PlannedMicroBatch[]) =>
  planned.map(({ batch, logits, ids, awaits }) => ({
    ...{ batch, ids, awaits },
    logits: logits.map(({ type, sequence }) => `${type} ${sequence.id}`),
  }));

describe('a step that decodes the same sequences again', () => {
  it('is the one that would be built with nothing to go by', () => {
    const starts = fc.array(fc.array(count(1, 20), { maxLength: 3 }), { maxLength: 12 });
    const leaves = fc.array(fc.option(count(0, 9)), { maxLength: 12 });
    fc.assert(
      fc.property(starts, leaves, count(1, 5), count(1, 4), (starting, leaving, size, m) => {
        const decoding = new Decoding(size);
        const [{ seats }, arrays] = [decoding, new IntArrays()];
        const running: RunningSequence[] = [];
        let previous: readonly PlannedMicroBatch[] = [];
        let id = 0;
        for (let step = 0; step < 20; step += 1) {
          for (const tokens of starting[step] ?? []) running.push(decoding.start(id++, tokens));
          const place = leaving[step] ?? running.length;
          for (const gone of running.splice(place, 1)) gone.leave();
          for (const sequence of running) decoding.grow(sequence);
          const work = running.map((sequence) => sequence.next(1));
          const given = { seats, arrays, previous };
          const planned = buildMicroBatches(work, given, limits(size, m));
          const anew = buildMicroBatches(work, { ...given, previous: [] }, limits(size, m));
          expect(shown(planned)).toEqual(shown(anew));
          previous = planned;
          for (const sequence of running) {
            sequence.computedTokens += 1;
            sequence.append(step, 0);
          }
        }
      }),
    );
  });

  it('takes over what says who is where, and page tables that have not grown', () => {
    const decoding = new Decoding(4);
    const running = [decoding.start(1, 3), decoding.start(2, 4), decoding.start(3, 6)];
    const material = { seats: decoding.seats, arrays: new IntArrays() };
    const build = (previous: readonly PlannedMicroBatch[], tokens = 1) => {
      const work = running.map((sequence) => sequence.next(tokens));
      return buildMicroBatches(work, { ...material, previous }, limits(4, 2));
    };
    const before = build([]);
    for (const sequence of running) {
      sequence.computedTokens += 1;
      sequence.append(7, 0);
      decoding.grow(sequence);
    }
    const again = build(before);
    expect(again.map(({ logits }, index) => logits === before[index]?.logits)).toEqual([
      true,
      true,
    ]);
    const shared = again.map(({ batch }, index) => batch.kvPages === before[index]?.batch.kvPages);
    // Sequences 1 and 3; sequence 2, whose fifth token begins a page.
    expect(shared).toEqual([true, false]);
    expect(again[1]?.batch.kvPages).toHaveLength(2);
  });

  it('is built anew for tokens that are not the next ones to sample from', () => {
    const decoding = new Decoding(4);
    const sequence = decoding.start(1, 8);
    const material = { seats: decoding.seats, arrays: new IntArrays() };
    const before = buildMicroBatches(
      [sequence.next(1)],
      { ...material, previous: [] },
      limits(4, 1),
    );
    // Set back, as after a step that was abandoned.
    sequence.computedTokens = 5;
    const [planned] = buildMicroBatches(
      [sequence.next(1)],
      { ...material, previous: before },
      limits(4, 1),
    );
    expect(planned?.logits).toEqual([]);
    expect(planned?.batch.positions).toEqual(Int32Array.of(5));
  });
});

describe('arrays for steps', () => {
  it('are zeros that nobody else has, of any length', () => {
    fc.assert(
      fc.property(fc.array(count(0, 20_000), { maxLength: 20 }), (lengths) => {
        const arrays = new IntArrays();
        const taken = lengths.map((length) => arrays.take(length));
        expect(taken.map(({ length }) => length)).toEqual(lengths);
        for (const [index, array] of taken.entries()) {
          expect(array.every((value) => value === 0)).toBe(true);
          array.fill(index + 1);
        }
        for (const [index, array] of taken.entries()) {
          expect(array.every((value) => value === index + 1)).toBe(true);
        }
      }),
    );
  });
});
