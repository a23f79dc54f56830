import { describe, expect, it } from 'vitest';
import { attentionSegmentLayout } from '../../../src/protocol/segment-layout.js';
import {
  cacheLineWords,
  frameWords,
  replyWords,
  ringFrames,
  segmentWord,
  slotAlignmentBytes,
} from '../../../src/protocol/wire-format.js';

const layout = attentionSegmentLayout({
  attentionWorkerCount: 2,
  expertWorkerCount: 19,
  layerCount: 2,
  hiddenSize: 5,
  topK: 3,
  elementBytes: 2,
  dtype: 'bf16',
  tokensPerSlotMax: 7,
  slotCount: 17,
  expertCount: 20,
  placementHash: 0,
  combine: 'attention',
});

describe('the layout of an attention segment', () => {
  const words = layout.pairs.flatMap((pair) => [
    { start: pair.ringHead, length: 1 },
    { start: pair.ringTail, length: 1 },
    { start: pair.ringFrames, length: ringFrames * frameWords },
    { start: pair.replies, length: 17 * replyWords },
  ]);
  const parts = [
    { start: 0, length: (segmentWord.peerMapped + 19) * 4 },
    ...words.map(({ start, length }) => ({ start: start * 4, length: length * 4 })),
    ...layout.slots
      .flatMap(({ hidden, expertIds, expertRanks, weights, answers }) => [
        hidden,
        expertIds,
        expertRanks,
        weights,
        answers,
      ])
      .map(({ byteOffset, byteLength }) => ({ start: byteOffset, length: byteLength })),
  ];

  it('has room for everything, and nothing lies over anything else', () => {
    let end = 0;
    for (const part of parts.toSorted((a, b) => a.start - b.start)) {
      expect(part.start).toBeGreaterThanOrEqual(end);
      end = part.start + part.length;
    }
    expect(layout.byteLength).toBeGreaterThanOrEqual(end);
  });

  it('gives each rank cache lines of its own and aligns the slots', () => {
    for (const { start } of words) expect(start % cacheLineWords).toBe(0);
    for (const { hidden, answers } of layout.slots) {
      expect(hidden.byteOffset % slotAlignmentBytes).toBe(0);
      expect(answers.byteOffset % slotAlignmentBytes).toBe(0);
    }
  });

  it('sizes the parts by their shapes', () => {
    expect(layout.slots).toHaveLength(17);
    expect(layout.slots[0]).toMatchObject({
      hidden: { byteLength: 7 * 5 * 2 },
      expertIds: { byteLength: 7 * 3 * 4 },
      expertRanks: { byteLength: 7 * 3 * 4 },
      weights: { byteLength: 7 * 3 * 4 },
      answers: { byteLength: 7 * 3 * 5 * 2 },
    });
  });
});
