import { expertRank } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { createFrame } from '../../../src/protocol/frame.js';
import { FrameReader, FrameWriter, loadLong, storeLong } from '../../../src/protocol/frame-ring.js';
import type { PortShape } from '../../../src/protocol/port-shape.js';
import { attentionSegmentLayout } from '../../../src/protocol/segment-layout.js';
import { ringFrames } from '../../../src/protocol/wire-format.js';

const shape: PortShape = {
  attentionWorkerCount: 1,
  expertWorkerCount: 2,
  layerCount: 9,
  hiddenSize: 1,
  topK: 2,
  elementBytes: 4,
  dtype: 'f32',
  tokensPerSlotMax: 100,
  slotCount: 4,
  expertCount: 2,
  placementHash: 0,
  combine: 'attention',
};

function ring() {
  const layout = attentionSegmentLayout(shape);
  const pair = layout.pairs[expertRank(1)];
  if (pair === undefined) throw new Error('There are two expert ranks.');
  const words = new Int32Array(new SharedArrayBuffer(layout.byteLength));
  return {
    words,
    writer: new FrameWriter(words, pair),
    reader: new FrameReader(words, pair, shape),
  };
}

describe('a ring of frames', () => {
  it('delivers every frame as it was written, in order, many times round', () => {
    const { writer, reader } = ring();
    const written = createFrame();
    const read = createFrame();
    for (let count = 0; count < 5 * ringFrames; count++) {
      Object.assign(written, {
        type: count % 7 === 0 ? 'park' : 'rows',
        step: 2 ** 40 + count,
        layer: count % 9,
        microBatch: count % 4,
        tokens: count % 100,
        rowCount: count % 3,
        next: { step: 2 ** 40 + count + 1, layer: (count + 1) % 9, microBatch: (count + 1) % 4 },
      });
      if (written.rowCount > written.tokens * 2) written.rowCount = 0;
      writer.put(written);
      writer.publish();
      expect(reader.read(read)).toBe('frame');
      expect(read).toEqual(written);
      expect(read.sequence).toBe(count + 1);
      expect(reader.read(read)).toBe('empty');
    }
  });

  it('has room for as many frames as it says', () => {
    const { writer, reader } = ring();
    const frame = createFrame();
    for (let count = 0; count < ringFrames; count++) {
      expect(writer.room()).toBe(ringFrames - count);
      writer.put(frame);
      writer.publish();
    }
    expect(writer.room()).toBe(0);
    for (let count = 1; reader.read(frame) === 'frame'; count++) {
      expect(writer.room()).toBeLessThanOrEqual(count);
    }
    expect(writer.room()).toBe(ringFrames);
  });

  it('has room in half of it at least whenever it was read empty', () => {
    const { writer, reader } = ring();
    const frame = createFrame();
    for (let count = 0; count < 3 * ringFrames; count++) {
      writer.put(frame);
      writer.publish();
      expect(reader.hasFrame()).toBe(true);
      reader.read(frame);
      expect(reader.hasFrame()).toBe(false);
      expect(writer.room()).toBeGreaterThanOrEqual(ringFrames / 2);
    }
  });

  it('knows a reader that read what was never written', () => {
    const { words, writer } = ring();
    words.fill(5);
    expect(writer.room()).toBeLessThan(0);
  });
});

describe('a long', () => {
  it.each([0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 3])('%d comes back', (value) => {
    const words = new Int32Array(2);
    storeLong(words, 0, value);
    expect(loadLong(words, 0)).toBe(value);
  });
});
