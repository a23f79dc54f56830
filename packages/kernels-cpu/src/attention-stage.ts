import type {
  AttentionSlot,
  AttentionStage,
  AttentionStageOptions,
  LayerIndex,
  MicroBatch,
  MicroBatchIndex,
} from '@megascale/core';
import type {
  NativeAddon,
  NativeAttentionProgram,
  NativeAttentionStage,
  NativeBackend,
} from './binding/binding.js';
import { compileAttention } from './compile/compile.js';
import { callNative, refuse, refuseClosed } from './binding/native-error.js';
import { NativeProfiler } from './binding/native-profiler.js';
import { nativeTensor, regionBytes } from './binding/native-memory.js';

/**
 * The attention stage. The constructor compiles its program; each layer is then one native call.
 */
export class CpuAttentionStage implements AttentionStage {
  readonly #vocabSize: number;
  /** Written by `logits`, [tokensPerMicroBatchMax, vocabSize]. */
  readonly #logits: ArrayBuffer;
  readonly profiler: NativeProfiler;
  #native: NativeAttentionStage | undefined;
  #bound = false;

  constructor(addon: NativeAddon, backend: NativeBackend, options: AttentionStageOptions) {
    const { program, weights, kvPageCount, kvPageSize, kvCacheDtype = 'bf16' } = options;
    const { microBatchCount, tokensPerMicroBatchMax, positionsMax } = options;
    const sizes = {
      kvPageCount,
      kvPageSize,
      microBatchCount,
      tokensPerMicroBatchMax,
      positionsMax,
    };
    for (const [name, size] of Object.entries(sizes)) {
      if (!Number.isSafeInteger(size) || size < 1)
        refuse(`${name} is ${size}, expected at least 1.`);
    }
    if (kvPageSize % 16 !== 0) refuse(`kvPageSize is ${kvPageSize}, expected a multiple of 16.`);
    const { code, matrices, vectors, tables } = compileAttention(program);
    this.#vocabSize = program.sizes.vocabSize;
    const nativeProgram: NativeAttentionProgram = {
      ...code,
      ...sizes,
      kvInt8: kvCacheDtype === 'int8' ? 1 : 0,
      matrices: matrices.map((ref) => [nativeTensor(weights, ref)]),
      vectors: vectors.map((ref) => nativeTensor(weights, ref)),
      tables: tables.map((ref) => nativeTensor(weights, ref)),
    };
    const native = callNative(() => new addon.AttentionStage(backend, nativeProgram));
    this.#native = native;
    this.#logits = callNative(() => native.logitsBuffer());
    this.profiler = new NativeProfiler(addon.profiledOps, () => this.#open());
  }

  bindSlots(slots: readonly AttentionSlot[]): void {
    const native = this.#open();
    if (this.#bound) refuse('Slots are bound already; bindSlots is called once.');
    const bytes = slots.map(({ hidden, expertIds, weights, answers }, i) => [
      regionBytes(`slots[${i}].hidden`, hidden),
      regionBytes(`slots[${i}].expertIds`, expertIds),
      regionBytes(`slots[${i}].weights`, weights),
      regionBytes(`slots[${i}].answers`, answers),
    ]);
    callNative(() => {
      native.bindSlots(bytes);
    });
    this.#bound = true;
  }

  embed(batch: MicroBatch): void {
    const { index, tokenIds, positions, offsets, kvPages, kvPageOffsets, logitsRows } = batch;
    const native = this.#open();
    callNative(() => {
      native.embed(index, tokenIds, positions, offsets, kvPages, kvPageOffsets, logitsRows);
    });
  }

  attend(layer: LayerIndex, microBatch: MicroBatchIndex): void {
    const native = this.#open();
    callNative(() => {
      native.attend(layer, microBatch);
    });
  }

  combine(layer: LayerIndex, microBatch: MicroBatchIndex): void {
    const native = this.#open();
    callNative(() => {
      native.combine(layer, microBatch);
    });
  }

  logits(microBatch: MicroBatchIndex): Float32Array {
    const native = this.#open();
    const rows = callNative(() => native.logits(microBatch));
    return new Float32Array(this.#logits, 0, rows * this.#vocabSize);
  }

  close(): void {
    this.#native?.close();
    this.#native = undefined;
  }

  #open(): NativeAttentionStage {
    return this.#native ?? refuseClosed('cpu attention stage');
  }
}
