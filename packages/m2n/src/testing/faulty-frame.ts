import type { AttentionSlot } from '@megascale/core';
import type { Frame } from '../protocol/frame.js';
import { frameWord, frameWords } from '../protocol/wire-format.js';

/**
 * 'truncate': only the first half of the frame came. 'corrupt': bits flipped in a word that readers check. 'corrupt-routes': bits
 * flipped in the expert ids of the frame's slot, so that there are no such experts. 'repeat': the sequence number of the frame before.
 */
export type FrameDamage = 'truncate' | 'corrupt' | 'corrupt-routes' | 'repeat';

export interface DamageOptions {
  readonly words: Int32Array;
  /** Of the frame. */
  readonly start: number;
  readonly frame: Frame;
  readonly slots: readonly AttentionSlot[];
  readonly type: FrameDamage;
  readonly seed: number;
}

/** Words whose high bits no valid frame has. */
const checkedWords = [
  frameWord.kind,
  frameWord.sequence,
  frameWord.layer,
  frameWord.microBatch,
  frameWord.tokens,
  frameWord.rowCount,
  frameWord.nextLayer,
  frameWord.nextMicroBatch,
];

export function damageFrame({ words, start, frame, slots, type, seed }: DamageOptions): void {
  const random = hash(seed ^ hash(frame.sequence));
  switch (type) {
    case 'truncate':
      words.fill(0, start + frameWords / 2, start + frameWords);
      return;
    case 'corrupt': {
      const word = start + (checkedWords[random % checkedWords.length] ?? 0);
      words[word] = (words[word] ?? 0) ^ highBits(random);
      return;
    }
    case 'corrupt-routes': {
      const ids = slots[frame.microBatch]?.expertIds.bytes;
      if (ids === undefined) return;
      const flip = highBits(random);
      const view = new Int32Array(ids.buffer, ids.byteOffset, ids.byteLength / 4);
      for (let index = 0; index < view.length; index++) view[index] = (view[index] ?? 0) ^ flip;
      return;
    }
    case 'repeat':
      words[start + frameWord.sequence] = frame.sequence - 1;
  }
}

/** At least one of the bits 24 to 30, so that the number becomes larger than any limit, or negative. */
function highBits(random: number): number {
  return ((random % 127) + 1) << 24;
}

/** 0 to 2³² - 1 (splitmix32's finisher). */
function hash(value: number): number {
  let bits = (value + 0x9e3779b9) | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return (bits ^ (bits >>> 15)) >>> 0;
}
