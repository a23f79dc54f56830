import type { AttentionSlot, ExpertSlot, Region } from '@megascale/core';
import type { AttentionSegmentLayout, Span } from '../protocol/segment-layout.js';

/** [slotCount] the slots of an attention segment as their owner sees them: views, never copies. */
export function attentionSlots(
  buffer: ArrayBufferLike,
  layout: AttentionSegmentLayout,
): readonly AttentionSlot[] {
  return layout.slots.map(({ hidden, expertIds, weights, answers }) => ({
    hidden: region(buffer, hidden),
    expertIds: region(buffer, expertIds),
    weights: region(buffer, weights),
    answers: region(buffer, answers),
  }));
}

/** [slotCount] the same memory as an expert rank sees it. */
export function expertSlots(
  buffer: ArrayBufferLike,
  layout: AttentionSegmentLayout,
): readonly ExpertSlot[] {
  return layout.slots.map(({ hidden, answers }) => ({
    hidden: region(buffer, hidden),
    answers: region(buffer, answers),
  }));
}

/** [slotCount] of [tokensPerSlotMax, topK] */
export function slotExpertIds(
  buffer: ArrayBufferLike,
  layout: AttentionSegmentLayout,
): readonly Int32Array[] {
  return layout.slots.map(({ expertIds }) => integers(buffer, expertIds));
}

/** [slotCount] of [tokensPerSlotMax, topK] */
export function slotExpertRanks(
  buffer: ArrayBufferLike,
  layout: AttentionSegmentLayout,
): readonly Int32Array[] {
  return layout.slots.map(({ expertRanks }) => integers(buffer, expertRanks));
}

function integers(buffer: ArrayBufferLike, { byteOffset, byteLength }: Span): Int32Array {
  return new Int32Array(buffer, byteOffset, byteLength / Int32Array.BYTES_PER_ELEMENT);
}

function region(buffer: ArrayBufferLike, { byteOffset, byteLength }: Span): Region {
  return {
    memory: 'host',
    byteLength,
    bytes: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength),
  };
}
