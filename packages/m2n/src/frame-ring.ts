import type { Frame } from './frame.js';
import type { PortShape } from './port-shape.js';
import type { PairWords } from './segment-layout.js';
import { frameKind, frameWord, frameWords, ringFrames } from './wire-format.js';

/**
 * A single-producer, single-consumer ring of frames in an attention rank's segment. The words of a
 * frame are written first; the store of `ringHead` that follows makes them visible (release), and
 * the reader's load of `ringHead` pairs with it (acquire). All word accesses are `Atomics`, which
 * are at least that strong.
 */
export class FrameWriter {
  private written = 0;

  constructor(
    protected readonly words: Int32Array,
    private readonly pair: PairWords,
  ) {}

  /** Frames that fit now; negative when the reader's word cannot be true. */
  room(): number {
    const tail = Atomics.load(this.words, this.pair.ringTail);
    const unread = (this.written - tail) >>> 0;
    return ringFrames - unread;
  }

  /** Gives the frame its sequence number. Only when `room()` is positive. */
  write(frame: Frame): void {
    const { words } = this;
    const sequence = (this.written + 1) | 0;
    const start = this.pair.ringFrames + (this.written & (ringFrames - 1)) * frameWords;
    frame.sequence = sequence;
    this.encode(frame, start);
    this.written = sequence;
    Atomics.store(words, this.pair.ringHead, sequence);
  }

  protected encode(frame: Frame, start: number): void {
    const { words } = this;
    Atomics.store(words, start + frameWord.kind, frameKind[frame.type]);
    Atomics.store(words, start + frameWord.sequence, frame.sequence);
    storeLong(words, start + frameWord.stepLow, frame.step);
    Atomics.store(words, start + frameWord.layer, frame.layer);
    Atomics.store(words, start + frameWord.microBatch, frame.microBatch);
    Atomics.store(words, start + frameWord.tokens, frame.tokens);
    Atomics.store(words, start + frameWord.rowCount, frame.rowCount);
    storeLong(words, start + frameWord.nextStepLow, frame.next.step);
    Atomics.store(words, start + frameWord.nextLayer, frame.next.layer);
    Atomics.store(words, start + frameWord.nextMicroBatch, frame.next.microBatch);
  }
}

export type ReadResult = 'frame' | 'empty' | 'invalid';

export class FrameReader {
  /** When a frame will be there that is on its way: known over emulated links alone. */
  arrivesUs = Infinity;
  private readCount = 0;

  constructor(
    protected readonly words: Int32Array,
    private readonly pair: PairWords,
    private readonly shape: PortShape,
  ) {}

  /**
   * Takes the next frame into `frame`. 'invalid': the memory holds what no writer of this version
   * writes.
   */
  read(frame: Frame): ReadResult {
    const { words } = this;
    const unread = (Atomics.load(words, this.pair.ringHead) - this.readCount) >>> 0;
    if (unread === 0) return 'empty';
    if (unread > ringFrames) return 'invalid';
    const start = this.pair.ringFrames + (this.readCount & (ringFrames - 1)) * frameWords;
    const kind = Atomics.load(words, start + frameWord.kind);
    if (kind !== frameKind.rows && kind !== frameKind.park) return 'invalid';
    frame.type = kind === frameKind.rows ? 'rows' : 'park';
    this.decode(frame, start);
    this.readCount = (this.readCount + 1) | 0;
    if (frame.sequence !== this.readCount || !this.isValid(frame)) return 'invalid';
    Atomics.store(words, this.pair.ringTail, this.readCount);
    return 'frame';
  }

  protected decode(frame: Frame, start: number): void {
    const { words } = this;
    frame.sequence = Atomics.load(words, start + frameWord.sequence);
    frame.step = loadLong(words, start + frameWord.stepLow);
    frame.layer = Atomics.load(words, start + frameWord.layer);
    frame.microBatch = Atomics.load(words, start + frameWord.microBatch);
    frame.tokens = Atomics.load(words, start + frameWord.tokens);
    frame.rowCount = Atomics.load(words, start + frameWord.rowCount);
    frame.next.step = loadLong(words, start + frameWord.nextStepLow);
    frame.next.layer = Atomics.load(words, start + frameWord.nextLayer);
    frame.next.microBatch = Atomics.load(words, start + frameWord.nextMicroBatch);
  }

  private isValid(frame: Frame): boolean {
    const { layerCount, slotCount, tokensPerSlotMax, topK } = this.shape;
    return (
      Number.isSafeInteger(frame.step) &&
      Number.isSafeInteger(frame.next.step) &&
      below(frame.layer, layerCount) &&
      below(frame.microBatch, slotCount) &&
      below(frame.next.layer, layerCount) &&
      below(frame.next.microBatch, slotCount) &&
      below(frame.tokens, tokensPerSlotMax + 1) &&
      below(frame.rowCount, frame.tokens * topK + 1)
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

function below(value: number, limit: number): boolean {
  return value >= 0 && value < limit;
}
