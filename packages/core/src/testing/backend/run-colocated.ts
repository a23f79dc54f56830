import { partition } from '../../graph/partition.js';
import type { ModelGraph } from '../../graph/ops.js';
import type {
  AttentionSlot,
  AttentionStage,
  Backend,
  ExpertStage,
  KvCacheDtype,
  MicroBatch,
} from '../../spec/backend.js';
import { RowList } from '../../routing/row-list.js';
import { bytesPerElement } from '../../spec/region.js';
import { expertId, layerIndex, type LayerIndex } from '../../spec/units.js';
import type { WeightSource } from '../../spec/weight-source.js';
import { microBatch } from './micro-batch.js';
import { i32Elements } from './region-elements.js';

export interface ColocatedOptions {
  readonly backend: Backend;
  readonly model: ModelGraph;
  readonly weights: WeightSource;
  /** Default 32. */
  readonly kvPageCount?: number;
  /** Default 16. */
  readonly kvPageSize?: number;
  /** Default 'bf16'. */
  readonly kvCacheDtype?: KvCacheDtype;
  /** Default 2. */
  readonly microBatchCount?: number;
  /** Default 64. */
  readonly tokensPerMicroBatchMax?: number;
  /** Expert stages that share the experts: expert e goes to stage e mod this. Default 1. */
  readonly expertStageCount?: number;
}

/**
 * Both stages of a model in one thread with no transport between: the smallest thing that computes
 * logits.
 */
export interface Colocated {
  readonly model: ModelGraph;
  readonly attention: AttentionStage;
  readonly expertStages: readonly LocalExperts[];
  readonly slots: readonly AttentionSlot[];
  readonly kvPageSize: number;
  readonly tokensPerMicroBatchMax: number;
  /** The routed layers in order. */
  readonly layers: readonly LayerIndex[];
  /** One micro-batch through all layers → a copy of its logits, [logitsRows, vocabSize]. */
  run(batch: MicroBatch): Float32Array;
  /**
   * Several micro-batches of different index, layer by layer in turns as the ping-pong pipeline
   * does.
   */
  runAll(batches: readonly MicroBatch[]): readonly Float32Array[];
  /**
   * Runs the experts of one layer on what `attend` left in the slot of `batch`, on these stages
   * (default: all) in turn.
   */
  runExperts(layer: LayerIndex, batch: MicroBatch, stages?: readonly LocalExperts[]): void;
  /** Closes the stages, not the backend. */
  close(): void;
}

export interface LocalExperts {
  readonly stage: ExpertStage;
  /** [expertCount] 1 for those whose rows go to this stage. */
  readonly residents: Uint8Array;
  /** The stage's rows of one layer, filled again for each `run`. */
  readonly rows: RowList;
}

export async function openColocated(options: ColocatedOptions): Promise<Colocated> {
  const { backend, model, weights } = options;
  const { kvPageCount = 32, kvPageSize = 16, kvCacheDtype = 'bf16', microBatchCount = 2 } = options;
  const { tokensPerMicroBatchMax = 64, expertStageCount = 1 } = options;
  const { topK, expertCount, positionsMax } = model.sizes;
  const program = partition(model);
  const attention = await backend.createAttentionStage({
    program: program.attention,
    weights,
    kvPageCount,
    kvPageSize,
    kvCacheDtype,
    microBatchCount,
    tokensPerMicroBatchMax,
    positionsMax: Math.min(positionsMax, kvPageCount * kvPageSize),
  });
  const slots = Array.from({ length: microBatchCount }, () =>
    allocateSlot(backend, model, tokensPerMicroBatchMax),
  );
  attention.bindSlots(slots);
  const expertStages: LocalExperts[] = [];
  for (let i = 0; i < expertStageCount; i += 1) {
    const all = Array.from({ length: expertCount }, (_, id) => expertId(id));
    const experts = all.filter((id) => id % expertStageCount === i);
    const rowsMax = tokensPerMicroBatchMax * topK;
    const byLayer = program.expert.stages.map(() => experts);
    const create = { program: program.expert, weights, experts: byLayer, rowsMax };
    const stage = await backend.createExpertStage(create);
    stage.bindSlots(slots);
    const residents = Uint8Array.from(all, (id) => (experts.includes(id) ? 1 : 0));
    const rows = new RowList({ expertCount, topK, rowsMax });
    expertStages.push({ stage, residents, rows });
  }
  const sizes = { kvPageSize, tokensPerMicroBatchMax };
  return new ColocatedModel({ model, attention, expertStages, slots, ...sizes });
}

/** Memory of one micro-batch from the backend itself, shapes as in `AttentionSlot`. */
export function allocateSlot(
  backend: Backend,
  model: ModelGraph,
  tokensPerSlotMax: number,
): AttentionSlot {
  const { hiddenSize, topK } = model.sizes;
  const elementBytes = bytesPerElement[backend.activationDType];
  const rows = tokensPerSlotMax * topK;
  return {
    hidden: backend.allocate(tokensPerSlotMax * hiddenSize * elementBytes),
    expertIds: backend.allocate(rows * bytesPerElement.i32),
    weights: backend.allocate(rows * bytesPerElement.f32),
    answers: backend.allocate(rows * hiddenSize * elementBytes),
  };
}

type Parts = Omit<Colocated, 'layers' | 'run' | 'runAll' | 'runExperts' | 'close'>;

class ColocatedModel implements Colocated {
  readonly model: ModelGraph;
  readonly attention: AttentionStage;
  readonly expertStages: readonly LocalExperts[];
  readonly slots: readonly AttentionSlot[];
  readonly kvPageSize: number;
  readonly tokensPerMicroBatchMax: number;
  readonly layers: readonly LayerIndex[];

  constructor(parts: Parts) {
    this.model = parts.model;
    this.attention = parts.attention;
    this.expertStages = parts.expertStages;
    this.slots = parts.slots;
    this.kvPageSize = parts.kvPageSize;
    this.tokensPerMicroBatchMax = parts.tokensPerMicroBatchMax;
    this.layers = partition(parts.model).expert.stages.map((_, layer) => layerIndex(layer));
  }

  run(batch: MicroBatch): Float32Array {
    return this.runAll([batch])[0] as Float32Array;
  }

  runAll(batches: readonly MicroBatch[]): readonly Float32Array[] {
    for (const batch of batches) this.attention.embed(batch);
    for (const layer of this.layers) {
      for (const batch of batches) {
        if (layer > 0) this.attention.combine(layerIndex(layer - 1), batch.index);
        this.attention.attend(layer, batch.index);
        this.runExperts(layer, batch);
      }
    }
    return batches.map((batch) => {
      const last = this.layers.at(-1);
      if (last !== undefined) this.attention.combine(last, batch.index);
      return this.attention.logits(batch.index).slice();
    });
  }

  runExperts(layer: LayerIndex, batch: MicroBatch, stages = this.expertStages): void {
    const slot = this.slots[batch.index];
    if (slot === undefined) throw new RangeError(`No slot of micro-batch ${batch.index}.`);
    const tokens = batch.tokenIds.length;
    const source = { slotIndex: batch.index, tokens, expertIds: i32Elements(slot.expertIds) };
    for (const { stage, rows, residents } of stages) {
      stage.run(layer, rows.merge(layer, [{ ...source, residents }], 1));
    }
  }

  close(): void {
    this.attention.close();
    for (const { stage } of this.expertStages) stage.close();
  }
}

/** A prompt in chunks, alone in its micro-batches → logits of every token, [tokens, vocabSize]. */
export function promptLogits(
  colocated: Colocated,
  tokenIds: readonly number[],
  options: {
    /** Default: as many as fit a micro-batch. */
    readonly chunkTokens?: number;
    /** Default: the first pages in order. */
    readonly kvPages?: readonly number[];
    readonly index?: number;
  } = {},
): Float32Array {
  const { chunkTokens = colocated.tokensPerMicroBatchMax, index = 0 } = options;
  const pageCount = Math.ceil(tokenIds.length / colocated.kvPageSize);
  const kvPages = options.kvPages ?? Array.from({ length: pageCount }, (_, page) => page);
  const { vocabSize } = colocated.model.sizes;
  const logits = new Float32Array(tokenIds.length * vocabSize);
  for (let first = 0; first < tokenIds.length; first += chunkTokens) {
    const chunk = tokenIds.slice(first, first + chunkTokens);
    const sequence = { tokenIds: chunk, firstPosition: first, kvPages };
    logits.set(colocated.run(microBatch({ index, sequences: [sequence] })), first * vocabSize);
  }
  return logits;
}
