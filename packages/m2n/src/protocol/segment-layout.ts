import type { PortShape } from './port-shape.js';
import {
  cacheLineWords,
  frameWords,
  replyWords,
  ringFrames,
  segmentWord,
  slotAlignmentBytes,
} from './wire-format.js';

/** A part of a segment. */
export interface Span {
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Where one micro-batch's memory lies in its attention rank's segment. */
export interface SlotSpans {
  readonly hidden: Span;
  readonly expertIds: Span;
  /**
   * [tokens, topK] i32: the expert rank that takes each row, -1 where there is no expert. Written
   * by dispatch.
   */
  readonly expertRanks: Span;
  readonly weights: Span;
  readonly answers: Span;
}

/** Word offsets of what one expert rank shares with the owner of an attention segment. */
export interface PairWords {
  /** Frames written so far, by the attention rank. */
  readonly ringHead: number;
  /** Frames read so far, by the expert rank. */
  readonly ringTail: number;
  /** [ringFrames × frameWords] */
  readonly ringFrames: number;
  /** [slotCount × replyWords] what was last answered, by the expert rank. */
  readonly replies: number;
}

/**
 * The segment of an attention rank: control words, a ring and replies per expert rank, then the
 * slots.
 */
export interface AttentionSegmentLayout {
  readonly byteLength: number;
  /** [expert ranks] */
  readonly pairs: readonly PairWords[];
  /** [slotCount] */
  readonly slots: readonly SlotSpans[];
}

export function attentionSegmentLayout(shape: PortShape): AttentionSegmentLayout {
  let word = segmentWord.peerMapped + lines(shape.expertWorkerCount);
  const take = (words: number): number => {
    const start = word;
    word += lines(words);
    return start;
  };
  const pairs = Array.from({ length: shape.expertWorkerCount }, () => ({
    ringHead: take(1),
    ringTail: take(1),
    ringFrames: take(ringFrames * frameWords),
    replies: take(shape.slotCount * replyWords),
  }));

  let byteOffset = word * Int32Array.BYTES_PER_ELEMENT;
  const span = (byteLength: number): Span => {
    const start = byteOffset;
    byteOffset += Math.ceil(byteLength / slotAlignmentBytes) * slotAlignmentBytes;
    return { byteOffset: start, byteLength };
  };
  const { tokensPerSlotMax, hiddenSize, topK, elementBytes } = shape;
  const slots = Array.from({ length: shape.slotCount }, () => ({
    hidden: span(tokensPerSlotMax * hiddenSize * elementBytes),
    expertIds: span(tokensPerSlotMax * topK * Int32Array.BYTES_PER_ELEMENT),
    expertRanks: span(tokensPerSlotMax * topK * Int32Array.BYTES_PER_ELEMENT),
    weights: span(tokensPerSlotMax * topK * Float32Array.BYTES_PER_ELEMENT),
    answers: span(tokensPerSlotMax * topK * hiddenSize * elementBytes),
  }));
  return { byteLength: byteOffset, pairs, slots };
}

/** The segment of an expert rank holds control words only. */
export function expertSegmentBytes(shape: PortShape): number {
  const words = segmentWord.peerMapped + lines(shape.attentionWorkerCount);
  return words * Int32Array.BYTES_PER_ELEMENT;
}

/** Words rounded up to whole cache lines. */
function lines(words: number): number {
  return Math.ceil(words / cacheLineWords) * cacheLineWords;
}
