import type { AttentionProgram, ExpertProgram } from '../graph/partition.js';
import type { ExpertId, LayerIndex, MicroBatchIndex } from './units.js';
import type { MachineBounds } from './machine-bounds.js';
import type { StageProfiler } from './profile.js';
import type { DType, MemoryKind, Region } from './region.js';
import type { WeightSource } from './weight-source.js';

/** Registered at import time; touches no native code until `probe` or `create`. */
export interface BackendFactory {
  readonly specVersion: 1;
  /** Stable name used in configuration and metrics: 'reference', 'null', 'cpu', 'cuda'. */
  readonly name: string;
  /** Never throws: an absent driver or instruction set is an answer, not an error. */
  probe(): Promise<BackendProbe>;
  /** Rejects with BackendError 'ERR_BACKEND_UNAVAILABLE', 'ERR_NATIVE_LOAD' or 'ERR_OUT_OF_MEMORY'. */
  create(options?: BackendOptions): Promise<Backend>;
}

export type BackendProbe =
  | {
      readonly available: true;
      /** For people: 'AMD EPYC, 2 cores'. */
      readonly device: string;
      /** Kernel variants this machine can run, best first: ['avx512', 'avx2', 'scalar']. */
      readonly variants: readonly string[];
    }
  | { readonly available: false; readonly reason: string };

export interface BackendOptions {
  /** Compute threads, the calling one included. Default: the cores this process may use. */
  readonly threads?: number;
  /**
   * [threads] binds compute thread i, the calling one included, to this core: an index into those the process may use. Its waits then let
   * other threads have the core. For workers that take turns on the same cores; a backend that has no threads of its own ignores it.
   */
  readonly cores?: readonly number[];
  /** Forces one of `BackendProbe.variants`. Default: the best. */
  readonly isa?: string;
  /** What only this backend knows (see `NullTimes`). Default: none. A backend without settings ignores them. */
  readonly settings?: Readonly<Record<string, number>>;
}

export interface Backend {
  readonly name: string;
  readonly memory: MemoryKind;
  /** Element type of `hidden` and `answers` in slots: what this backend's stages read and write. */
  readonly activationDType: DType;
  /** The variant in use, as in `BackendProbe.variants`. */
  readonly isa: string;
  /** Measures the machine with this backend's threads. Absent where a backend cannot. */
  readonly bounds?: MachineBounds;
  /** Zeroed, 64-byte aligned. Throws BackendError 'ERR_OUT_OF_MEMORY'. Called during start-up only. */
  allocate(byteLength: number): Region;
  createAttentionStage(options: AttentionStageOptions): Promise<AttentionStage>;
  createExpertStage(options: ExpertStageOptions): Promise<ExpertStage>;
  /** Idempotent. Frees every stage and region of this backend. */
  close(): void;
}

/** How a backend keeps keys and values between steps. */
export type KvCacheDtype = 'bf16' | 'int8';

export interface AttentionStageOptions {
  readonly program: AttentionProgram;
  readonly weights: WeightSource;
  readonly kvPageCount: number;
  /** Tokens per KV page: a multiple of 16. */
  readonly kvPageSize: number;
  /**
   * What keys and values are kept as; default 'bf16'. 'int8' takes about half the memory: each key and
   * each value is rounded once, when it is appended, with one scale per position and KV head.
   */
  readonly kvCacheDtype?: KvCacheDtype;
  readonly microBatchCount: number;
  readonly tokensPerMicroBatchMax: number;
  /** Positions a sequence may reach; sizes the rotary table. */
  readonly positionsMax: number;
}

export interface ExpertStageOptions {
  readonly program: ExpertProgram;
  readonly weights: WeightSource;
  /** [layers] the experts resident on this worker from the start, ascending in each. */
  readonly experts: readonly (readonly ExpertId[])[];
  /** Rows of one `run`, over all experts: M × m × tokensPerSlotMax × topK, whatever experts come to be here. */
  readonly rowsMax: number;
}

/**
 * The attention half of every layer, on one attention worker. Calls are synchronous: on a CPU they return when
 * the work is done, on a GPU when it is enqueued. Wrong shapes throw 'ERR_SHAPE' before any work; a
 * device fault throws 'ERR_DEVICE', and so does every later call.
 *
 * Law 1: a token's numbers do not depend on which other tokens share its micro-batch.
 */
export interface AttentionStage {
  /** Once, before the first `embed`: slots[i] is where micro-batch i's routed tokens go and its answers come from. */
  bindSlots(slots: readonly AttentionSlot[]): void;
  /** Starts a micro-batch: token ids → residual [tokens, hiddenSize]. The batch is in force until the next `embed` of its index. */
  embed(batch: MicroBatch): void;
  /** Norm, QKV, RoPE, KV append, paged attention, projection, residual, norm, router → slot. */
  attend(layer: LayerIndex, microBatch: MicroBatchIndex): void;
  /** residual[t] += Σₖ weights[t,k] · answers[t,k], in ascending k in f32: the result does not depend on who answered first. */
  combine(layer: LayerIndex, microBatch: MicroBatchIndex): void;
  /** Final norm and LM head for the batch's `logitsRows` → [logitsRows, vocabSize]. A view, valid until the next call. */
  logits(microBatch: MicroBatchIndex): Float32Array;
  /** Absent where a backend does not count. */
  readonly profiler?: StageProfiler;
  close(): void;
}

/** The expert half of every layer, on one expert worker. Same rules. */
export interface ExpertStage {
  /** Once, before the first `run`: the table that `ExpertInput.slotIndex` points into. */
  bindSlots(slots: readonly ExpertSlot[]): void;
  /**
   * Grouped GEMM over the resident experts: answers = down(act(gate·x) ⊙ up·x), one row per (token, expert).
   * Routing weights are NOT applied here; `AttentionStage.combine` applies them, once. Rows for an expert that is not here
   * throw 'ERR_SHAPE'.
   */
  run(layer: LayerIndex, input: ExpertInput): void;
  /**
   * Reads one expert's weights of one layer from the source that the stage was created with; from then on that layer runs it as if it had
   * been here from the start. Returns the bytes they take here: 0 when they were here already. The one call that allocates after start-up,
   * and as long as reading one expert of one layer takes: callers put runs between calls. When it throws, the stage is as before.
   */
  load(layer: LayerIndex, expert: ExpertId): number;
  /** Forgets one expert's weights of one layer. Returns the bytes they took: 0 when there were none. */
  drop(layer: LayerIndex, expert: ExpertId): number;
  /** Absent where a backend does not count. */
  readonly profiler?: StageProfiler;
  close(): void;
}

/** What an attention worker computes together. Prefill chunks and decode tokens mix freely. */
export interface MicroBatch {
  readonly index: MicroBatchIndex;
  /** [tokens] vocabulary ids. */
  readonly tokenIds: Int32Array;
  /** [tokens] position of each token in its sequence, from 0; consecutive within a sequence. */
  readonly positions: Int32Array;
  /** [sequences + 1] prefix sum: tokens of sequence i are [offsets[i], offsets[i+1]). */
  readonly offsets: Int32Array;
  /** [sum of pages] page tables one after the other, each in position order. */
  readonly kvPages: Int32Array;
  /** [sequences + 1] prefix sum: the table of sequence i is kvPages[kvPageOffsets[i] … kvPageOffsets[i+1]). */
  readonly kvPageOffsets: Int32Array;
  /** Token rows whose logits are wanted, ascending. */
  readonly logitsRows: Int32Array;
}

/** One micro-batch's memory between an attention worker and the experts; T = tokensPerSlotMax. */
export interface AttentionSlot {
  /** [T, hiddenSize] activation dtype: the normed hidden states the experts read. */
  readonly hidden: Region;
  /** [T, topK] i32 expert ids; -1 = no expert. */
  readonly expertIds: Region;
  /** [T, topK] f32 routing weights. */
  readonly weights: Region;
  /** [T, topK, hiddenSize] activation dtype: one answer per (token, expert), where expertIds ≥ 0. */
  readonly answers: Region;
}

/** The same memory as an expert worker sees it (or its local copy, where a network lies between). */
export interface ExpertSlot {
  /** [rows, hiddenSize] activation dtype, read. */
  readonly hidden: Region;
  /** [rows, hiddenSize] activation dtype, written. */
  readonly answers: Region;
}

/** The rows of one layer for one expert worker, as lists into the bound slots: no row is copied to be merged. */
export interface ExpertInput {
  readonly layer: LayerIndex;
  readonly rowCount: number;
  /** [expertCount] of the model; its sum is rowCount. Rows are sorted by expert, attention rank, micro-batch, token. */
  readonly rowsPerExpert: Int32Array;
  /** [≥ rowCount] which bound slot. */
  readonly slotIndex: Int32Array;
  /** [≥ rowCount] row in that slot's `hidden`. */
  readonly hiddenRow: Int32Array;
  /** [≥ rowCount] row in that slot's `answers`. */
  readonly answerRow: Int32Array;
}
