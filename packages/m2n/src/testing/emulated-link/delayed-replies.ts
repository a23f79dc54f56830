import type { Clock, EmulatedLink } from '@megascale/core';
import type { ReplySource } from '../../peers/channels.js';
import type { Frame } from '../../protocol/frame.js';
import type { PortShape } from '../../protocol/port-shape.js';
import { directionOf, LinkModel, replyBytes, tokensWithRoute } from './link-model.js';
import type { SendTimes } from './send-times.js';

export interface DelayedRepliesOptions {
  readonly link: EmulatedLink;
  readonly shape: PortShape;
  readonly clock: Clock;
  readonly attentionRank: number;
  /** Of this attention rank. */
  readonly times: SendTimes;
  /** [slotCount] of [tokensPerSlotMax, topK], own. */
  readonly expertRanks: readonly Int32Array[];
}

/** The expert outputs that one expert rank owes or has sent, by micro-batch. */
interface Direction {
  readonly model: LinkModel;
  /** [slotCount] sequence number of the frame to be answered; `owed` says whether there is one. */
  readonly sequences: Int32Array;
  readonly owed: Uint8Array;
  readonly bytes: Float64Array;
  /** [slotCount] when the last reply arrives. */
  readonly arrivalUs: Float64Array;
}

/** Hides each reply from an attention rank while the emulated link would still carry it. */
export class DelayedReplies implements ReplySource {
  /** When the reply arrives that was looked for last; Infinity when it is here or was not sent. */
  nextArrivalUs = Infinity;
  readonly #replies: ReplySource;
  readonly #options: DelayedRepliesOptions;
  /** [expert ranks] */
  readonly #directions: readonly Direction[];

  constructor(replies: ReplySource, options: DelayedRepliesOptions) {
    this.#replies = replies;
    this.#options = options;
    const { link, shape, attentionRank: attention } = options;
    const { slotCount, expertWorkerCount } = shape;
    this.#directions = Array.from({ length: expertWorkerCount }, (_, expert) => ({
      model: new LinkModel(link, directionOf(shape, { attention, expert }, 'replies')),
      sequences: new Int32Array(slotCount),
      owed: new Uint8Array(slotCount),
      bytes: new Float64Array(slotCount),
      arrivalUs: new Float64Array(slotCount),
    }));
  }

  /** Notes a frame that was sent, if it will be answered. */
  expect(frame: Frame, expertRank: number): void {
    const direction = this.#directions[expertRank];
    if (direction === undefined || frame.rowCount === 0) return;
    const { microBatch } = frame;
    direction.sequences[microBatch] = frame.sequence;
    direction.owed[microBatch] = 1;
    direction.bytes[microBatch] = replyBytes(
      this.#options.shape,
      this.#rowsAnswered(frame, expertRank),
    );
  }

  isAnswered(expertRank: number, microBatch: number, sequence: number): boolean {
    this.nextArrivalUs = Infinity;
    if (!this.#replies.isAnswered(expertRank, microBatch, sequence)) return false;
    const arrivalUs = this.#arrivalUs(expertRank, microBatch);
    if (arrivalUs <= this.#options.clock.nowUs()) return true;
    this.nextArrivalUs = arrivalUs;
    return false;
  }

  #arrivalUs(expertRank: number, microBatch: number): number {
    const direction = this.#directions[expertRank];
    if (direction === undefined) return Infinity;
    // All replies that were sent before the one just seen are here too: admit the oldest first.
    for (;;) {
      const oldest = this.#oldest(direction, expertRank);
      if (oldest === undefined) break;
      this.#admit(direction, expertRank, oldest);
    }
    return direction.owed[microBatch] === 1 ? Infinity : (direction.arrivalUs[microBatch] ?? 0);
  }

  #admit(direction: Direction, expertRank: number, microBatch: number): void {
    const { times, clock } = this.#options;
    const sentUs = Math.min(times.replySentUs(expertRank, microBatch), clock.nowUs());
    const bytes = direction.bytes[microBatch] ?? 0;
    direction.owed[microBatch] = 0;
    direction.arrivalUs[microBatch] = direction.model.arrivalUs(sentUs, bytes);
  }

  /** Of the replies not admitted yet, the micro-batch of the one that was sent first. */
  #oldest({ owed, sequences }: Direction, expertRank: number): number | undefined {
    const { times, shape } = this.#options;
    let oldest: number | undefined;
    let oldestUs = Infinity;
    for (let microBatch = 0; microBatch < shape.slotCount; microBatch++) {
      if (owed[microBatch] === 0) continue;
      const sequence = sequences[microBatch] ?? 0;
      if (!this.#replies.isAnswered(expertRank, microBatch, sequence)) continue;
      const sentUs = times.replySentUs(expertRank, microBatch);
      if (oldest !== undefined && sentUs >= oldestUs) continue;
      oldest = microBatch;
      oldestUs = sentUs;
    }
    return oldest;
  }

  #rowsAnswered({ tokens, microBatch, rowCount }: Frame, expertRank: number): number {
    const { expertRanks, shape } = this.#options;
    const ranks = expertRanks[microBatch];
    if (shape.combine !== 'expert' || ranks === undefined) return rowCount;
    return tokensWithRoute(ranks, { tokens, topK: shape.topK }, expertRank);
  }
}
