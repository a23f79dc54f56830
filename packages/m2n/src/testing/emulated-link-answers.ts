import type { TransportOptions } from '@megascale/core';
import { answerBytes, directionOf, LinkModel, tokensWithRoute } from './emulated-link.js';
import type { Frame } from '../protocol/frame.js';
import { loadLong } from '../protocol/frame-ring.js';
import type { PortShape } from '../protocol/port-shape.js';
import type { PairWords } from '../protocol/segment-layout.js';
import { replyWord, replyWords } from '../protocol/wire-format.js';

export interface AnswersUnderWayOptions {
  readonly attentionRank: number;
  /** Own segment. */
  readonly words: Int32Array;
  /** [expert ranks] */
  readonly pairs: readonly PairWords[];
  readonly shape: PortShape;
  /** [slotCount] of [tokensPerSlotMax, topK], own. */
  readonly expertRanks: readonly Int32Array[];
  readonly transport: TransportOptions;
}

/** Answers one expert rank owes or has sent, by micro-batch. */
interface Direction {
  readonly link: LinkModel;
  /** [slotCount] sequence number of the frame to be answered; `owed` says whether there is one. */
  readonly sequences: Int32Array;
  readonly owed: Uint8Array;
  readonly bytes: Float64Array;
  /** [slotCount] when the last answer is there. */
  readonly arrivesUs: Float64Array;
}

/** Knows which answers an attention rank may not see yet, because the emulated link would still carry them. */
export class AnswersUnderWay {
  /** [expert ranks] */
  private readonly directions: readonly Direction[];

  constructor(private readonly options: AnswersUnderWayOptions) {
    const { attentionRank: attention, pairs, shape, transport } = options;
    const { slotCount } = shape;
    this.directions = pairs.map((_, expert) => ({
      link: new LinkModel(
        transport.emulatedLink ?? { latencyUs: 0 },
        directionOf(shape, { attention, expert }, 'answers'),
      ),
      sequences: new Int32Array(slotCount),
      owed: new Uint8Array(slotCount),
      bytes: new Float64Array(slotCount),
      arrivesUs: new Float64Array(slotCount),
    }));
  }

  /** Notes a frame that was sent, if it will be answered. */
  sent(frame: Frame, expert: number): void {
    const direction = this.directions[expert];
    if (direction === undefined || frame.rowCount === 0) return;
    const { microBatch } = frame;
    direction.sequences[microBatch] = frame.sequence;
    direction.owed[microBatch] = 1;
    direction.bytes[microBatch] = answerBytes(this.options.shape, this.rowsAnswered(frame, expert));
  }

  /** When the answer is there, in the past or not; Infinity while it was not sent. */
  arrivalUs(expert: number, microBatch: number): number {
    const direction = this.directions[expert];
    if (direction === undefined) return Infinity;
    // Whichever answer is seen first, all that were sent before it are there too by then: a second look finds the oldest.
    while (this.oldest(direction, expert) >= 0) this.admit(direction, expert);
    return direction.owed[microBatch] === 1 ? Infinity : (direction.arrivesUs[microBatch] ?? 0);
  }

  private admit(direction: Direction, expert: number): void {
    const microBatch = this.oldest(direction, expert);
    const sentUs = Math.min(this.sentUs(expert, microBatch), this.options.transport.clock.nowUs());
    direction.owed[microBatch] = 0;
    direction.arrivesUs[microBatch] = direction.link.arrivalUs(
      sentUs,
      direction.bytes[microBatch] ?? 0,
    );
  }

  /** The micro-batch whose answer was sent first of those not admitted yet, or -1. */
  private oldest({ owed, sequences }: Direction, expert: number): number {
    const { words, shape } = this.options;
    let oldest = -1;
    let oldestUs = Infinity;
    for (let microBatch = 0; microBatch < shape.slotCount; microBatch++) {
      if (owed[microBatch] === 0) continue;
      const sequence = Atomics.load(words, this.reply(expert, microBatch) + replyWord.sequence);
      if (sequence !== sequences[microBatch]) continue;
      const sentUs = this.sentUs(expert, microBatch);
      if (oldest >= 0 && sentUs >= oldestUs) continue;
      oldest = microBatch;
      oldestUs = sentUs;
    }
    return oldest;
  }

  private sentUs(expert: number, microBatch: number): number {
    return loadLong(this.options.words, this.reply(expert, microBatch) + replyWord.sentUsLow);
  }

  private reply(expert: number, microBatch: number): number {
    return (this.options.pairs[expert]?.replies ?? 0) + microBatch * replyWords;
  }

  private rowsAnswered({ tokens, microBatch, rowCount }: Frame, expert: number): number {
    const { expertRanks, shape, transport } = this.options;
    const ranks = expertRanks[microBatch];
    if (transport.combine !== 'expert' || ranks === undefined) return rowCount;
    return tokensWithRoute(ranks, { tokens, topK: shape.topK }, expert);
  }
}
