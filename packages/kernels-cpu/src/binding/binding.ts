import { createNativeLoader } from '@megascale/core';

/**
 * The addon as native/binding defines it: a thin mirror, no policy. Everything it throws carries
 * one of core's codes as `code`.
 */
export interface NativeAddon {
  readonly version: string;
  /** Best first. */
  availableIsas(): string[];
  cpuName(): string;
  /** Kinds of op, in the order of `opTotals`. */
  readonly profiledOps: readonly string[];
  /**
   * Maps files and copies them into fresh memory, the bound of loading; for benchmarks. Returns the
   * bytes.
   */
  copyFiles(backend: NativeBackend, paths: readonly string[]): number;
  /** `cores`: [threads], see BackendOptions. */
  readonly Backend: new (threads: number, isa: string, cores?: Int32Array) => NativeBackend;
  readonly AttentionStage: new (
    backend: NativeBackend,
    program: NativeAttentionProgram,
  ) => NativeAttentionStage;
  readonly ExpertStage: new (
    backend: NativeBackend,
    program: NativeExpertProgram,
  ) => NativeExpertStage;
}

/** A thread pool and the kernels of one instruction set. */
export interface NativeBackend {
  readonly isa: string;
  allocate(byteLength: number): ArrayBuffer;
  /** Pairs of streams per thread and bytes per second. */
  readBandwidth(byteLength: number): Float64Array;
  /** FLOP/s of the product, of the instruction, and the instruction's name. */
  multiplyPeak(): [number, number, string];
  /** Microseconds while threads spin, and after they parked. */
  forkJoin(): Float64Array;
  /** Microseconds into fresh and into touched memory. */
  copyTime(byteLength: number): Float64Array;
  close(): void;
}

/** What both stages tell about their ops. */
export interface NativeProfile {
  /** Per kind of op: calls, nanoseconds, weight bytes, KV bytes, FLOPs. */
  opTotals(): Float64Array;
  /**
   * Per op: kind, layer, micro-batch, start and end in nanoseconds, weight bytes, KV bytes, FLOPs.
   * And how many are missing.
   */
  opRecords(): [Float64Array, number];
  record(capacity: number): void;
  /** Of weights and of KV pages. */
  memoryBytes(): [number, number];
}

export interface NativeAttentionStage extends NativeProfile {
  /** [micro-batch][hidden, expertIds, weights, answers]; keeps the arrays alive. */
  bindSlots(slots: readonly (readonly Uint8Array[])[]): void;
  embed(
    index: number,
    tokenIds: Int32Array,
    positions: Int32Array,
    offsets: Int32Array,
    kvPages: Int32Array,
    kvPageOffsets: Int32Array,
    logitsRows: Int32Array,
  ): void;
  attend(layer: number, microBatch: number): void;
  combine(layer: number, microBatch: number): void;
  /** Fills the first rows of `logitsBuffer` and says how many. */
  logits(microBatch: number): number;
  /** [tokensPerMicroBatchMax, vocabSize] f32. Ask once. */
  logitsBuffer(): ArrayBuffer;
  close(): void;
}

export interface NativeExpertStage extends NativeProfile {
  /** [slot][hidden, answers]; keeps the arrays alive. */
  bindSlots(slots: readonly (readonly Uint8Array[])[]): void;
  run(
    layer: number,
    rowCount: number,
    rowsPerExpert: Int32Array,
    slotIndex: Int32Array,
    hiddenRow: Int32Array,
    answerRow: Int32Array,
  ): void;
  /**
   * Gate and up as a pair, then down. Returns the bytes they take here, 0 where they are here
   * already.
   */
  load(layer: number, expert: number, matrices: readonly (readonly NativeTensor[])[]): number;
  drop(layer: number, expert: number): number;
  close(): void;
}

/**
 * A checkpoint tensor [rows, columns]: a range of a file, or bytes where there is no file to map.
 */
export interface NativeTensor {
  /** For messages. */
  readonly name: string;
  readonly dtype: string;
  readonly rows: number;
  readonly columns: number;
  readonly file?: string;
  readonly byteOffset?: number;
  readonly bytes?: Uint8Array;
  /** [rows, groups], for dtypes 'I8' and 'I4'. */
  readonly scales?: NativeTensor;
}

/** What native/program/program.hpp holds, in plain arrays. compile.ts writes it. */
export interface NativeAttentionProgram extends NativeAttentionCode, NativeAttentionSizes {
  /** Each is one matrix. */
  readonly matrices: readonly (readonly NativeTensor[])[];
  readonly vectors: readonly NativeTensor[];
  readonly tables: readonly NativeTensor[];
}

export interface NativeAttentionCode {
  /** Records of `valueFields`. */
  readonly values: Float64Array;
  readonly scratchRowBytes: Float64Array;
  readonly stateRowBytes: Float64Array;
  /** Records of `rotaryTableFields`. */
  readonly rotaryTables: Float64Array;
  /** Records of `kvCacheFields`. */
  readonly kvCaches: Float64Array;
  /** The prologue, one list per routed layer, the epilogue; records of `opFields`. */
  readonly lists: readonly Float64Array[];
  /** Per routed layer: the value that combine adds to, and its top-k. */
  readonly residuals: Float64Array;
  readonly topKs: Float64Array;
  readonly hiddenSize: number;
  readonly vocabSize: number;
  readonly topKMax: number;
}

export interface NativeAttentionSizes {
  readonly kvPageCount: number;
  readonly kvPageSize: number;
  readonly microBatchCount: number;
  readonly tokensPerMicroBatchMax: number;
  readonly positionsMax: number;
  /** 1: keys and values are kept as 8-bit integers; 0: as bf16. */
  readonly kvInt8: 0 | 1;
}

export interface NativeExpertProgram {
  /** Layer by layer: [experts × (gate and up, down)]. */
  readonly matrices: readonly (readonly NativeTensor[])[];
  /** [layers] those here from the start, ascending. */
  readonly experts: readonly Float64Array[];
  /** Of the model. */
  readonly expertCount: number;
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly widthMax: number;
  readonly rowsMax: number;
}

const loadNative = createNativeLoader('kernels-cpu', import.meta.url);

/**
 * Loads the addon on the first call and returns it on every call.
 *
 * @throws BackendError 'ERR_NATIVE_LOAD' when no build of the addon loads on this machine.
 */
export function nativeAddon(): NativeAddon {
  return loadNative() as NativeAddon;
}
