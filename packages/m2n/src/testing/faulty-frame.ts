import type { AttentionEnd, FrameSink, PortDecorator } from '../peers/channels.js';
import { slotExpertIds } from '../peers/slot-views.js';
import type { Frame } from '../protocol/frame.js';
import { frameWord, frameWords } from '../protocol/wire-format.js';

/**
 * 'truncate': only the first half of the frame came. 'corrupt': bits flipped in a word that readers
 * check. 'corrupt-routes': bits flipped in the expert ids of the frame's slot, so that there are no
 * such experts. 'repeat': the sequence number of the frame before.
 */
export type FrameDamage = 'truncate' | 'corrupt' | 'corrupt-routes' | 'repeat';

/** An attention rank's frame number `frame` to one expert rank comes damaged. */
export interface FrameFault {
  readonly type: FrameDamage;
  readonly attention: number;
  readonly expert: number;
  readonly frame: number;
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

/** Damages frames after they were written and before their reader can see them. */
export function damagedFrames(faults: readonly FrameFault[], seed: number): PortDecorator {
  return {
    attention(channels, end) {
      const frames = channels.frames.map((sink, expert) => {
        const own = faults.filter(
          (fault) => fault.attention === end.rank && fault.expert === expert,
        );
        return own.length === 0 ? sink : new DamagedFrames(sink, own, { end, seed });
      });
      return { ...channels, frames };
    },
  };
}

class DamagedFrames implements FrameSink {
  readonly #frames: FrameSink;
  readonly #faults: readonly FrameFault[];
  readonly #words: Int32Array;
  /** [slotCount] of [tokensPerSlotMax, topK] */
  readonly #expertIds: readonly Int32Array[];
  readonly #seed: number;

  constructor(
    frames: FrameSink,
    faults: readonly FrameFault[],
    { end, seed }: { readonly end: AttentionEnd; readonly seed: number },
  ) {
    this.#frames = frames;
    this.#faults = faults;
    this.#words = end.words;
    this.#expertIds = slotExpertIds(end.buffer, end.layout);
    this.#seed = seed;
  }

  room(): number {
    return this.#frames.room();
  }

  put(frame: Frame): number {
    const start = this.#frames.put(frame);
    for (const fault of this.#faults) {
      if (frame.sequence === fault.frame + 1) this.#damage(fault.type, frame, start);
    }
    return start;
  }

  publish(): void {
    this.#frames.publish();
  }

  #damage(type: FrameDamage, frame: Frame, start: number): void {
    const words = this.#words;
    const random = hash(this.#seed ^ hash(frame.sequence));
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
        const ids = this.#expertIds[frame.microBatch];
        if (ids === undefined) return;
        const flip = highBits(random);
        for (let index = 0; index < ids.length; index++) ids[index] = (ids[index] ?? 0) ^ flip;
        return;
      }
      case 'repeat':
        words[start + frameWord.sequence] = frame.sequence - 1;
    }
  }
}

/**
 * At least one of the bits 24 to 30, so that the number becomes larger than any limit, or negative.
 */
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
