import type { Frame } from './frame.js';
import type { PortShape } from './port-shape.js';
import type { PairWords } from './segment-layout.js';
import { frameKind, frameWord, frameWords, ringFrames, stepsMax } from './wire-format.js';

/**
 * The reader says how far it has read once in so many frames: every word that changes costs the
 * other side a cache miss.
 */
const framesPerTail = 16;

/**
 * A single-producer, single-consumer ring of frames in an attention rank's segment. The words of a
 * frame are written first; the store of `ringHead` that follows makes them visible (release), and
 * the reader's load of `ringHead` pairs with it (acquire). Both are `Atomics`, which are at least
 * that strong; the words of a frame between the two need not be.
 */
export class FrameWriter {
  readonly #words: Int32Array;
  readonly #pair: PairWords;
  #written = 0;

  constructor(words: Int32Array, pair: PairWords) {
    this.#words = words;
    this.#pair = pair;
  }

  /** Frames that fit for certain; negative when the reader's word cannot be true. */
  room(): number {
    const tail = Atomics.load(this.#words, this.#pair.ringTail);
    const unread = (this.#written - tail) >>> 0;
    return ringFrames - unread;
  }

  /**
   * Writes the frame where its reader does not look yet, and sets its sequence number. Call it only
   * while `room()` is positive. Returns the index of the frame's first word.
   */
  put(frame: Frame): number {
    const words = this.#words;
    const start = this.#pair.ringFrames + (this.#written & (ringFrames - 1)) * frameWords;
    frame.sequence = (this.#written + 1) | 0;
    words[start + frameWord.kind] = frameKind[frame.type];
    words[start + frameWord.sequence] = frame.sequence;
    putLong(words, start + frameWord.stepLow, frame.step);
    words[start + frameWord.layer] = frame.layer;
    words[start + frameWord.microBatch] = frame.microBatch;
    words[start + frameWord.tokens] = frame.tokens;
    words[start + frameWord.rowCount] = frame.rowCount;
    putLong(words, start + frameWord.nextStepLow, frame.next.step);
    words[start + frameWord.nextLayer] = frame.next.layer;
    words[start + frameWord.nextMicroBatch] = frame.next.microBatch;
    words[start + frameWord.placementEpoch] = frame.placementEpoch;
    return start;
  }

  /** Lets the reader see the frame that was put last. */
  publish(): void {
    this.#written = (this.#written + 1) | 0;
    Atomics.store(this.#words, this.#pair.ringHead, this.#written);
  }
}

export type ReadResult = 'frame' | 'empty' | 'invalid';

/** The receiving end of the same ring. */
export class FrameReader {
  readonly #words: Int32Array;
  readonly #pair: PairWords;
  readonly #shape: PortShape;
  #readCount = 0;

  constructor(words: Int32Array, pair: PairWords, shape: PortShape) {
    this.#words = words;
    this.#pair = pair;
    this.#shape = shape;
  }

  /** Whether `read` would find something. */
  hasFrame(): boolean {
    return Atomics.load(this.#words, this.#pair.ringHead) !== this.#readCount;
  }

  /**
   * Takes the next frame into `frame`. 'invalid': the memory holds what no writer of this version
   * writes.
   */
  read(frame: Frame): ReadResult {
    const words = this.#words;
    const unread = (Atomics.load(words, this.#pair.ringHead) - this.#readCount) >>> 0;
    if (unread === 0) return 'empty';
    if (unread > ringFrames) return 'invalid';
    const start = this.#pair.ringFrames + (this.#readCount & (ringFrames - 1)) * frameWords;
    const kind = words[start + frameWord.kind] ?? 0;
    if (kind !== frameKind.rows && kind !== frameKind.park) return 'invalid';
    frame.type = kind === frameKind.rows ? 'rows' : 'park';
    this.#decode(frame, start);
    this.#readCount = (this.#readCount + 1) | 0;
    if (frame.sequence !== this.#readCount || !this.#isValid(frame)) return 'invalid';
    if (this.#readCount % framesPerTail === 0) {
      Atomics.store(words, this.#pair.ringTail, this.#readCount);
    }
    return 'frame';
  }

  #decode(frame: Frame, start: number): void {
    const words = this.#words;
    frame.sequence = words[start + frameWord.sequence] ?? 0;
    frame.step = getLong(words, start + frameWord.stepLow);
    frame.layer = words[start + frameWord.layer] ?? 0;
    frame.microBatch = words[start + frameWord.microBatch] ?? 0;
    frame.tokens = words[start + frameWord.tokens] ?? 0;
    frame.rowCount = words[start + frameWord.rowCount] ?? 0;
    frame.next.step = getLong(words, start + frameWord.nextStepLow);
    frame.next.layer = words[start + frameWord.nextLayer] ?? 0;
    frame.next.microBatch = words[start + frameWord.nextMicroBatch] ?? 0;
    frame.placementEpoch = words[start + frameWord.placementEpoch] ?? 0;
  }

  #isValid(frame: Frame): boolean {
    const { layerCount, slotCount, tokensPerSlotMax, topK } = this.#shape;
    return (
      below(frame.step, stepsMax) &&
      below(frame.next.step, stepsMax + 1) &&
      below(frame.layer, layerCount) &&
      below(frame.microBatch, slotCount) &&
      below(frame.next.layer, layerCount) &&
      below(frame.next.microBatch, slotCount) &&
      below(frame.tokens, tokensPerSlotMax + 1) &&
      below(frame.rowCount, frame.tokens * topK + 1) &&
      frame.placementEpoch >= 0
    );
  }
}

/**
 * A non-negative integer below 2⁵³ as two words, low first: a reader between the two sees too small
 * a value.
 */
export function storeLong(words: Int32Array, index: number, value: number): void {
  Atomics.store(words, index, value | 0);
  Atomics.store(words, index + 1, Math.floor(value / 2 ** 32));
}

/** High word first, see `storeLong`. */
export function loadLong(words: Int32Array, index: number): number {
  const high = Atomics.load(words, index + 1) >>> 0;
  return high * 2 ** 32 + (Atomics.load(words, index) >>> 0);
}

/** Writes two words of a frame, which its reader does not look at before the head says so. */
function putLong(words: Int32Array, index: number, value: number): void {
  words[index] = value | 0;
  words[index + 1] = Math.floor(value / 2 ** 32);
}

function getLong(words: Int32Array, index: number): number {
  return ((words[index + 1] ?? 0) >>> 0) * 2 ** 32 + ((words[index] ?? 0) >>> 0);
}

function below(value: number, limit: number): boolean {
  return value >= 0 && value < limit;
}
