import { placementEpochMax } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFrame, type Frame } from '../../src/protocol/frame.js';
import { FrameReader, FrameWriter } from '../../src/protocol/frame-ring.js';
import { loadNative } from '../../src/load-native.js';
import type { PortShape } from '../../src/protocol/port-shape.js';
import {
  attentionSegmentLayout,
  expertSegmentBytes,
  type AttentionSegmentLayout,
} from '../../src/protocol/segment-layout.js';
import { frameWords, ringFrames, stepsMax } from '../../src/protocol/wire-format.js';

/** native/binding/protocol_binding.cc: the protocol as C++ has it. */
interface NativeProtocol {
  layoutOfAttentionSegment(shape: PortShape): AttentionSegmentLayout;
  expertSegmentBytes(shape: PortShape): number;
  encodeFrame(frame: Frame, words: Int32Array): void;
  decodeFrame(words: Int32Array, shape: PortShape): Frame | undefined;
}

const native = loadNative() as NativeProtocol;
const upTo = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });

const shapes: fc.Arbitrary<PortShape> = fc.record({
  attentionWorkerCount: upTo(40),
  expertWorkerCount: upTo(40),
  layerCount: upTo(4096),
  hiddenSize: upTo(1 << 20),
  topK: upTo(256),
  elementBytes: fc.constantFrom(1, 2, 4),
  dtype: fc.constant('f32' as const),
  tokensPerSlotMax: upTo(1 << 13),
  slotCount: upTo(64),
  expertCount: upTo(1 << 16),
  placementHash: fc.integer(),
  combine: fc.constantFrom('attention' as const, 'expert' as const),
});

/** Frames that this shape allows. */
function framesOf({ layerCount, slotCount, tokensPerSlotMax, topK }: PortShape) {
  const position = {
    step: fc.nat({ max: stepsMax - 1 }),
    layer: fc.nat(layerCount - 1),
    microBatch: fc.nat(slotCount - 1),
  };
  return fc.nat(tokensPerSlotMax).chain((tokens) =>
    fc.record({
      type: fc.constantFrom('rows' as const, 'park' as const),
      sequence: fc.constant(0),
      ...position,
      tokens: fc.constant(tokens),
      rowCount: fc.nat(tokens * topK),
      placementEpoch: fc.nat(placementEpochMax),
      next: fc.record(position),
    }),
  );
}

const cases = shapes.chain((shape) =>
  fc.record({ shape: fc.constant(shape), frames: fc.array(framesOf(shape), { maxLength: 70 }) }),
);

/** A ring of its own, at the start of its words. */
function ring(shape: PortShape) {
  const pair = { ringHead: 0, ringTail: 16, ringFrames: 32, replies: 0 };
  const words = new Int32Array(new SharedArrayBuffer((32 + ringFrames * frameWords) * 4));
  const frameAt = (index: number): Int32Array => {
    const start = pair.ringFrames + (index % ringFrames) * frameWords;
    return words.subarray(start, start + frameWords);
  };
  const writer = new FrameWriter(words, pair);
  return { pair, words, frameAt, writer, reader: new FrameReader(words, pair, shape) };
}

describe('the protocol in TypeScript and in C++', () => {
  it('lays segments out alike', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        expect(native.layoutOfAttentionSegment(shape)).toEqual(attentionSegmentLayout(shape));
        expect(native.expertSegmentBytes(shape)).toBe(expertSegmentBytes(shape));
      }),
    );
  });

  it('C++ reads the frames that TypeScript writes', () => {
    fc.assert(
      fc.property(cases, ({ shape, frames }) => {
        const { writer, reader, frameAt } = ring(shape);
        for (const [index, frame] of frames.entries()) {
          writer.put(frame);
          writer.publish();
          expect(native.decodeFrame(frameAt(index), shape)).toEqual(frame);
          reader.read(createFrame());
        }
      }),
    );
  });

  it('TypeScript reads the frames that C++ writes', () => {
    fc.assert(
      fc.property(cases, ({ shape, frames }) => {
        const { pair, words, reader, frameAt } = ring(shape);
        const read = createFrame();
        for (const [index, frame] of frames.entries()) {
          const sent = { ...frame, sequence: index + 1 };
          native.encodeFrame(sent, frameAt(index));
          Atomics.store(words, pair.ringHead, index + 1);
          expect(reader.read(read)).toBe('frame');
          expect(read).toEqual(sent);
        }
      }),
    );
  });

  it('takes and refuses the same words, whatever they are', () => {
    const smallShapes = shapes.map((shape) => ({ ...shape, layerCount: 3, slotCount: 2 }));
    const change = fc.record({
      word: fc.nat(frameWords - 1),
      value: fc.oneof(fc.integer(), fc.integer({ min: -2, max: 4 })),
    });
    const changed = smallShapes.chain((shape) =>
      fc.record({ shape: fc.constant(shape), frame: framesOf(shape), change }),
    );
    let refused = 0;
    fc.assert(
      fc.property(changed, ({ shape, frame, change: { word, value } }) => {
        const { writer, reader, frameAt } = ring(shape);
        writer.put(frame);
        writer.publish();
        frameAt(0)[word] = value;
        const read = createFrame();
        const result = reader.read(read);
        const decoded = native.decodeFrame(frameAt(0), shape);
        // The sequence number is checked by the readers of rings.
        const taken = decoded?.sequence === 1 ? decoded : undefined;
        if (taken === undefined) refused++;
        expect(result === 'frame' ? read : undefined).toEqual(taken);
      }),
      { numRuns: 2000 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});
