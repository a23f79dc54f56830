import type { AttentionProgram, ExpertProgram } from '../graph/partition.js';
import type { ExpertId, LayerIndex, MicroBatchIndex } from './units.js';
import type { MachineBounds } from './machine-bounds.js';
import type { StageProfiler } from './profile.js';
import type { DType, MemoryKind, Region } from './region.js';
import type { WeightSource } from './weight-source.js';

/** Makes backends of one kind. `probe` and `create` may load native code; the import does not. */
export interface BackendFactory {
  readonly specVersion: 1;
  /** Stable name used in configuration and metrics: 'reference', 'null', 'cpu', 'cuda'. */
  readonly name: string;
  /** Reports whether the machine has the driver and instruction sets. Never throws. */
  probe(): Promise<BackendProbe>;
  /**
   * Rejects with BackendError 'ERR_BACKEND_UNAVAILABLE', 'ERR_NATIVE_LOAD' or 'ERR_OUT_OF_MEMORY'.
   */
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
   * [threads] the core of each compute thread, the calling thread first, as an index into the cores
   * that the process may use. A bound thread yields its core while it waits. For workers that share
   * cores; a backend without threads ignores it.
   */
  readonly cores?: readonly number[];
  /** Forces one of `BackendProbe.variants`. Default: the best. */
  readonly isa?: string;
  /** Settings of this backend only (see `NullTimes`). A backend without settings ignores them. */
  readonly settings?: Readonly<Record<string, number>>;
}

export interface Backend {
  readonly name: string;
  readonly memory: MemoryKind;
  /** Element type of `hidden` and `answers` in slots, which the stages read and write. */
  readonly activationDType: DType;
  /** The variant in use, as in `BackendProbe.variants`. */
  readonly isa: string;
  /** Measures the machine with the threads of the backend. Absent if the backend cannot. */
  readonly bounds?: MachineBounds;
  /**
   * Allocates zeroed memory, aligned to 64 bytes. The engine calls it during start-up only.
   *
   * @throws BackendError 'ERR_OUT_OF_MEMORY'.
   */
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
   * Element type of the KV cache; default 'bf16'. 'int8' takes about half the memory: the stage
   * rounds each key and value once, when it appends it, with one scale per position and KV head.
   */
  readonly kvCacheDtype?: KvCacheDtype;
  readonly microBatchCount: number;
  readonly tokensPerMicroBatchMax: number;
  /** Most positions of a sequence; the size of the rotary table. */
  readonly positionsMax: number;
}

export interface ExpertStageOptions {
  readonly program: ExpertProgram;
  readonly weights: WeightSource;
  /** [layers] the experts resident on this worker from the start, ascending in each. */
  readonly experts: readonly (readonly ExpertId[])[];
  /**
   * Most rows of one `run` over all experts: M × m × tokensPerSlotMax × topK, for any set of
   * resident experts.
   */
  readonly rowsMax: number;
}

/**
 * The attention stage of every layer, on one attention worker. Calls are synchronous: on a CPU they
 * return when the work is done, on a GPU when it is enqueued. A call with wrong shapes throws
 * BackendError 'ERR_SHAPE' before any work. A device fault throws 'ERR_DEVICE', and so does every
 * later call.
 *
 * Law 1, batch invariance: the numbers of a token do not depend on the other tokens of its
 * micro-batch.
 */
export interface AttentionStage {
  /**
   * Binds the memory of each micro-batch: the stage writes routed tokens to slots[i] and reads
   * expert outputs from there. Call it once, before the first `embed`.
   */
  bindSlots(slots: readonly AttentionSlot[]): void;
  /**
   * Starts a micro-batch: token ids → residual [tokens, hiddenSize]. The batch stays in force until
   * the next `embed` of its index.
   */
  embed(batch: MicroBatch): void;
  /** Norm, QKV, RoPE, KV append, paged attention, projection, residual, norm, router → slot. */
  attend(layer: LayerIndex, microBatch: MicroBatchIndex): void;
  /**
   * Adds the expert outputs: residual[t] += Σₖ weights[t,k] · answers[t,k], in ascending k in f32,
   * so that the result does not depend on the order in which they arrived.
   */
  combine(layer: LayerIndex, microBatch: MicroBatchIndex): void;
  /**
   * Final norm and LM head for the batch's `logitsRows` → [logitsRows, vocabSize]. Returns a view
   * that is valid until the next call.
   */
  logits(microBatch: MicroBatchIndex): Float32Array;
  /** Absent if the backend does not profile. */
  readonly profiler?: StageProfiler;
  close(): void;
}

/** The expert stage of every layer, on one expert worker. The rules of `AttentionStage` apply. */
export interface ExpertStage {
  /** Binds the table that `ExpertInput.slotIndex` indexes. Call it once, before the first `run`. */
  bindSlots(slots: readonly ExpertSlot[]): void;
  /**
   * Computes the resident experts as a grouped GEMM: answers = down(act(gate·x) ⊙ up·x), one row
   * per (token, expert). The routing weights are not applied here; `AttentionStage.combine` applies
   * them.
   *
   * @throws BackendError 'ERR_SHAPE', also for rows of an expert that is not resident.
   */
  run(layer: LayerIndex, input: ExpertInput): void;
  /**
   * Loads the weights of one expert of one layer from the source that the stage was created with.
   * Returns the bytes that they take, 0 if the expert was resident already. This is the only call
   * that allocates after start-up; it takes as long as reading one expert of one layer, so callers
   * interleave it with runs. If it throws, the stage is unchanged.
   */
  load(layer: LayerIndex, expert: ExpertId): number;
  /** Frees the weights of one expert of one layer. Returns the bytes, 0 if it was not resident. */
  drop(layer: LayerIndex, expert: ExpertId): number;
  /** Absent if the backend does not profile. */
  readonly profiler?: StageProfiler;
  close(): void;
}

/** Tokens that an attention worker computes together, of prefill chunks and decode steps. */
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
  /** [sequences + 1] prefix sum: sequence i has kvPages [kvPageOffsets[i], kvPageOffsets[i+1]). */
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
  /** [T, topK, hiddenSize] activation dtype: the expert outputs, where expertIds ≥ 0. */
  readonly answers: Region;
}

/** The same memory as an expert worker sees it; over a network, its local copy. */
export interface ExpertSlot {
  /** [rows, hiddenSize] activation dtype, which the expert stage reads. */
  readonly hidden: Region;
  /** [rows, hiddenSize] activation dtype: the expert outputs, which the expert stage writes. */
  readonly answers: Region;
}

/**
 * The rows of one layer for one expert worker, as indices into the bound slots. No row is copied.
 */
export interface ExpertInput {
  readonly layer: LayerIndex;
  readonly rowCount: number;
  /**
   * [expertCount] rows of each expert of the model; their sum is rowCount. Rows are sorted by
   * expert, attention rank, micro-batch, token.
   */
  readonly rowsPerExpert: Int32Array;
  /** [≥ rowCount] which bound slot. */
  readonly slotIndex: Int32Array;
  /** [≥ rowCount] row in that slot's `hidden`. */
  readonly hiddenRow: Int32Array;
  /** [≥ rowCount] row in that slot's `answers`. */
  readonly answerRow: Int32Array;
}
