import type { Clock, EmulatedLink } from '@megascale/core';
import type { FrameSink, FrameSource } from '../../peers/channels.js';
import type { Peer } from '../../peers/peer.js';
import { copyFrame, createFrame, type Frame } from '../../protocol/frame.js';
import type { ReadResult } from '../../protocol/frame-ring.js';
import type { PortShape } from '../../protocol/port-shape.js';
import { directionOf, frameBytes, LinkModel, tokensWithRoute } from './link-model.js';
import type { SendTimes } from './send-times.js';

/** Notes when each frame for one expert rank is sent. */
export class TimedFrames implements FrameSink {
  readonly #frames: FrameSink;
  readonly #onSent: (frame: Frame) => void;

  /** `onSent` is called for each frame before its reader may see it. */
  constructor(frames: FrameSink, onSent: (frame: Frame) => void) {
    this.#frames = frames;
    this.#onSent = onSent;
  }

  room(): number {
    return this.#frames.room();
  }

  put(frame: Frame): number {
    const start = this.#frames.put(frame);
    this.#onSent(frame);
    return start;
  }

  publish(): void {
    this.#frames.publish();
  }
}

export interface DelayedFramesOptions {
  readonly link: EmulatedLink;
  readonly shape: PortShape;
  readonly clock: Clock;
  readonly attentionRank: number;
  readonly expertRank: number;
  /** That attention rank. */
  readonly peer: Peer;
  readonly times: SendTimes;
  /** [slotCount] of [tokensPerSlotMax, topK] of that attention rank. */
  readonly expertRanks: readonly Int32Array[];
}

/** Gives out each frame when the emulated link would have brought it with its rows. */
export class DelayedFrames implements FrameSource {
  readonly #frames: FrameSource;
  readonly #options: DelayedFramesOptions;
  readonly #model: LinkModel;
  /** The next frame, once it was read; `#arrivalUs` is Infinity before. */
  readonly #next = createFrame();
  #arrivalUs = Infinity;

  constructor(frames: FrameSource, options: DelayedFramesOptions) {
    this.#frames = frames;
    this.#options = options;
    const { link, shape, attentionRank: attention, expertRank: expert } = options;
    this.#model = new LinkModel(link, directionOf(shape, { attention, expert }, 'frames'));
  }

  /**
   * When the frame that is under way arrives; Infinity when none is known. Frames that a rank left
   * under way when it closed are never read.
   */
  get arrivalUs(): number {
    return this.#options.peer.isClosed ? Infinity : this.#arrivalUs;
  }

  hasFrame(): boolean {
    return this.#frames.hasFrame();
  }

  read(frame: Frame): ReadResult {
    const nowUs = this.#options.clock.nowUs();
    if (this.#arrivalUs === Infinity) {
      const result = this.#frames.read(this.#next);
      if (result !== 'frame') return result;
      const { times, expertRank } = this.#options;
      // No frame that is here was sent later than now, whatever the table says.
      const sentUs = Math.min(times.frameSentUs(expertRank, this.#next.sequence), nowUs);
      this.#arrivalUs = this.#model.arrivalUs(sentUs, this.#bytesOfNext());
    }
    if (nowUs < this.#arrivalUs) return 'empty';
    this.#arrivalUs = Infinity;
    copyFrame(this.#next, frame);
    return 'frame';
  }

  #bytesOfNext(): number {
    const { shape, expertRank, expertRanks } = this.#options;
    const { tokens, microBatch, rowCount } = this.#next;
    const ranks = expertRanks[microBatch];
    if (rowCount === 0 || ranks === undefined) return frameBytes(shape, 0, 0);
    const routed = tokensWithRoute(ranks, { tokens, topK: shape.topK }, expertRank);
    return frameBytes(shape, tokens, routed);
  }
}
