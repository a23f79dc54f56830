import { binding } from '../memory/binding.js';
import type { PortShape } from '../protocol/port-shape.js';
import type { AttentionSegmentLayout, Span } from '../protocol/segment-layout.js';

/** [tokens, topK, hiddenSize] f32, or bf16 as 16-bit words. */
type Answers = Float32Array | Uint16Array;

/** What one expert rank sums of one micro-batch. */
export interface PartialSums {
  /** [tokens, topK] */
  readonly weights: Float32Array;
  /** [tokens, topK] who took each row. */
  readonly expertRanks: Int32Array;
  readonly rank: number;
  readonly tokens: number;
  readonly topK: number;
  readonly hiddenSize: number;
}

export interface PartialSummerOptions {
  /** The expert rank that sums. */
  readonly rank: number;
  readonly shape: PortShape;
  readonly layout: AttentionSegmentLayout;
  /** [attention ranks] their segments. */
  readonly buffers: readonly ArrayBufferLike[];
}

/**
 * The expert side of `combine: 'expert'`: per token, the weighted sum of this rank's answers, at
 * the row of the first of them, in place. Sums run in ascending k, each step rounded to f32 and the
 * sum to the answers' dtype.
 */
export class PartialSummer {
  /** [attention ranks × slotCount] */
  readonly #slots: readonly (Pick<PartialSums, 'weights' | 'expertRanks'> & {
    readonly answers: Answers;
  })[];
  readonly #sum = nativeSum() ?? sumPartialRows;
  readonly #sums: { -readonly [Field in keyof PartialSums]: PartialSums[Field] };

  constructor({ rank, shape, layout, buffers }: PartialSummerOptions) {
    const { topK, hiddenSize, dtype } = shape;
    this.#slots = buffers.flatMap((buffer) =>
      layout.slots.map(({ answers, weights, expertRanks }) => ({
        answers: dtype === 'f32' ? floats(buffer, answers) : halfWords(buffer, answers),
        weights: floats(buffer, weights),
        expertRanks: new Int32Array(buffer, expertRanks.byteOffset, expertRanks.byteLength / 4),
      })),
    );
    const none = { weights: new Float32Array(0), expertRanks: new Int32Array(0), tokens: 0 };
    this.#sums = { ...none, rank, topK, hiddenSize };
  }

  /** Sums the first `tokens` tokens of a slot of `ExpertPort.slots`. */
  sumSlot(slotIndex: number, tokens: number): void {
    const slot = this.#slots[slotIndex];
    if (slot === undefined) return;
    this.#sums.weights = slot.weights;
    this.#sums.expertRanks = slot.expertRanks;
    this.#sums.tokens = tokens;
    this.#sum(this.#sums, slot.answers);
  }
}

/** The native sum, where the addon loads: the same bits, sooner. */
function nativeSum(): ((sums: PartialSums, answers: Answers) => void) | undefined {
  try {
    const native = binding();
    return ({ weights, expertRanks, rank, tokens, topK, hiddenSize }, answers) => {
      native.sumPartialRows(answers, weights, expertRanks, rank, tokens, topK, hiddenSize);
    };
  } catch {
    return undefined;
  }
}

/** See `PartialSummer`; the form without native code. */
export function sumPartialRows(sums: PartialSums, answers: Answers): void {
  const { weights, expertRanks, rank, tokens, topK, hiddenSize } = sums;
  const isFloat = answers instanceof Float32Array;
  for (let token = 0; token < tokens; token++) {
    const end = (token + 1) * topK;
    let first = token * topK;
    while (first < end && expertRanks[first] !== rank) first++;
    if (first === end) continue;
    for (let column = 0; column < hiddenSize; column++) {
      let sum = 0;
      for (let row = first; row < end; row++) {
        if (row > first && expertRanks[row] !== rank) continue;
        const element = answers[row * hiddenSize + column] ?? 0;
        const answer = isFloat ? element : bf16ToFloat(element);
        const product = Math.fround((weights[row] ?? 0) * answer);
        sum = row === first ? product : Math.fround(sum + product);
      }
      answers[first * hiddenSize + column] = isFloat ? sum : floatToBf16(sum);
    }
  }
}

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

function bf16ToFloat(word: number): number {
  scratchBits[0] = word << 16;
  return scratchFloat[0] ?? 0;
}

/** Rounds to nearest, ties to even; NaN stays NaN. */
function floatToBf16(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0] ?? 0;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits | 0x400000) >>> 16;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function floats(buffer: ArrayBufferLike, { byteOffset, byteLength }: Span): Float32Array {
  return new Float32Array(buffer, byteOffset, byteLength / 4);
}

function halfWords(buffer: ArrayBufferLike, { byteOffset, byteLength }: Span): Uint16Array {
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}
