import type { TransportOptions } from '@megascale/core';
import { StampedFrameWriter } from './emulated-link-frames.js';
import type { Frame } from '../protocol/frame.js';
import { FrameWriter } from '../protocol/frame-ring.js';
import type { PairWords } from '../protocol/segment-layout.js';

/** Sees each frame for `expert` in `words` from `start` on, after it was written and before it can be read. */
export type FrameTap = (words: Int32Array, start: number, frame: Frame, expert: number) => void;

/** Under this key of a port's options stands a tap, if there is one: for tests alone. */
export const frameTap = Symbol('megascale.m2n.frameTap');

export interface TappedOptions extends TransportOptions {
  readonly [frameTap]?: FrameTap;
}

class TappedFrameWriter extends FrameWriter {
  constructor(
    words: Int32Array,
    pair: PairWords,
    private readonly tap: FrameTap,
    private readonly expert: number,
  ) {
    super(words, pair);
  }

  protected override encode(frame: Frame, start: number): void {
    super.encode(frame, start);
    this.tap(this.words, start, frame, this.expert);
  }
}

/** The writer of one pair's ring that these options ask for. A tap sees frames without the stamps of an emulated link. */
export function frameWriterFor(
  words: Int32Array,
  pair: PairWords,
  options: TappedOptions,
  expert: number,
): FrameWriter {
  const tap = options[frameTap];
  if (tap !== undefined) return new TappedFrameWriter(words, pair, tap, expert);
  if (options.emulatedLink === undefined) return new FrameWriter(words, pair);
  return new StampedFrameWriter(words, pair, options.clock);
}
