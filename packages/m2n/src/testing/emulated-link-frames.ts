import type { TransportOptions } from '@megascale/core';
import { frameBytes, directionOf, LinkModel, tokensWithRoute } from './emulated-link.js';
import { copyFrame, createFrame, type Frame } from '../protocol/frame.js';
import {
  FrameReader,
  FrameWriter,
  loadLong,
  storeLong,
  type ReadResult,
} from '../protocol/frame-ring.js';
import type { PortShape } from '../protocol/port-shape.js';
import type { PairWords } from '../protocol/segment-layout.js';
import { frameWord } from '../protocol/wire-format.js';

type Clock = TransportOptions['clock'];

/** Writes into each frame when it was sent. */
export class StampedFrameWriter extends FrameWriter {
  constructor(
    words: Int32Array,
    pair: PairWords,
    private readonly clock: Clock,
  ) {
    super(words, pair);
  }

  protected override encode(frame: Frame, start: number): void {
    super.encode(frame, start);
    storeLong(this.words, start + frameWord.sentUsLow, Math.ceil(this.clock.nowUs()));
  }
}

export interface DelayedReaderOptions {
  readonly words: Int32Array;
  readonly pair: PairWords;
  readonly shape: PortShape;
  readonly attentionRank: number;
  readonly expertRank: number;
  /** [slotCount] of [tokensPerSlotMax, topK] of that attention rank. */
  readonly expertRanks: readonly Int32Array[];
  readonly transport: TransportOptions;
}

/** Gives each frame out when the emulated link would have brought it with its rows. */
export class DelayedFrameReader extends FrameReader {
  /** The next frame, once read; `arrivesUs` is Infinity before. */
  private readonly next = createFrame();
  private sentUs = 0;
  private readonly link: LinkModel;
  private readonly clock: Clock;

  constructor(private readonly options: DelayedReaderOptions) {
    const { words, pair, shape, transport } = options;
    super(words, pair, shape);
    const { attentionRank: attention, expertRank: expert } = options;
    this.link = new LinkModel(
      transport.emulatedLink ?? { latencyUs: 0 },
      directionOf(shape, { attention, expert }, 'frames'),
    );
    this.clock = transport.clock;
  }

  override read(frame: Frame): ReadResult {
    const nowUs = this.clock.nowUs();
    if (this.arrivesUs === Infinity) {
      const result = super.read(this.next);
      if (result !== 'frame') return result;
      // No frame that is here was sent later than now, whatever it says.
      this.arrivesUs = this.link.arrivalUs(Math.min(this.sentUs, nowUs), this.bytesOfNext());
    }
    if (nowUs < this.arrivesUs) return 'empty';
    this.arrivesUs = Infinity;
    copyFrame(this.next, frame);
    return 'frame';
  }

  protected override decode(frame: Frame, start: number): void {
    super.decode(frame, start);
    this.sentUs = loadLong(this.words, start + frameWord.sentUsLow);
  }

  private bytesOfNext(): number {
    const { shape, expertRank, expertRanks } = this.options;
    const { tokens, microBatch, rowCount } = this.next;
    const ranks = expertRanks[microBatch];
    if (rowCount === 0 || ranks === undefined) return frameBytes(shape, 0, 0);
    const routed = tokensWithRoute(ranks, { tokens, topK: shape.topK }, expertRank);
    return frameBytes(shape, tokens, routed);
  }
}
