import type { GraphNode, Value } from '../graph/ops.js';
import { weightsOf } from '../graph/node-values.js';
import type { AttentionStageProgram } from '../graph/partition.js';
import type {
  AttentionSlot,
  AttentionStage,
  AttentionStageOptions,
  MicroBatch,
} from '../spec/backend.js';
import type { LayerIndex, MicroBatchIndex } from '../spec/units.js';
import * as blocks from './blocks.js';
import { checkMicroBatch } from '../stages/check-micro-batch.js';
import { f32View, i32View } from '../stages/region-views.js';
import { interpret, valueOf, weightOf, widthOf, type Interpretation } from './interpret.js';
import { createKvPages, type KvPages } from './kv-pages.js';
import { readWeights, type F32Weights } from './read-weights.js';
import { OpenState, refuse, requireIndex } from '../stages/stage-validation.js';

/** A bound slot as typed views; shapes as in `AttentionSlot`. */
interface SlotViews {
  readonly hidden: Float32Array;
  readonly expertIds: Int32Array;
  readonly weights: Float32Array;
  readonly answers: Float32Array;
}

/**
 * A micro-batch in force, and the values that live as long as it: the prologue's, first of all the
 * residual.
 */
interface ActiveBatch {
  readonly batch: MicroBatch;
  readonly values: ReadonlyMap<Value, Float32Array>;
}

/** The attention stage: interprets the program node by node. */
export class ReferenceAttentionStage implements AttentionStage {
  readonly #options: AttentionStageOptions;
  readonly #weights: F32Weights;
  readonly #kvPages: ReadonlyMap<GraphNode, KvPages>;
  readonly #state = new OpenState('reference attention stage');
  #slots: readonly SlotViews[] | undefined;
  readonly #active = new Map<MicroBatchIndex, ActiveBatch>();

  constructor(options: AttentionStageOptions) {
    const { program, kvPageSize } = options;
    if (kvPageSize <= 0 || kvPageSize % 16 !== 0) {
      refuse(`kvPageSize: found ${kvPageSize}, expected a multiple of 16.`);
    }
    const nodes = [
      ...program.prologue,
      ...program.stages.flatMap((stage) => stage.attend),
      ...program.epilogue,
    ];
    this.#options = options;
    this.#weights = readWeights(options.weights, nodes.flatMap(weightsOf));
    this.#kvPages = createAllKvPages(nodes, options);
  }

  bindSlots(slots: readonly AttentionSlot[]): void {
    this.#state.requireOpen();
    if (this.#slots !== undefined) refuse('Slots are bound already; bindSlots is called once.');
    const { program, microBatchCount, tokensPerMicroBatchMax: tokens } = this.#options;
    if (slots.length !== microBatchCount) {
      refuse(`Found ${slots.length} slots, expected one per micro-batch, ${microBatchCount}.`);
    }
    const { topK, hiddenSize } = program.sizes;
    this.#slots = slots.map((slot, i) => ({
      hidden: f32View(`slots[${i}].hidden`, slot.hidden, tokens * hiddenSize),
      expertIds: i32View(`slots[${i}].expertIds`, slot.expertIds, tokens * topK),
      weights: f32View(`slots[${i}].weights`, slot.weights, tokens * topK),
      answers: f32View(`slots[${i}].answers`, slot.answers, tokens * topK * hiddenSize),
    }));
  }

  embed(batch: MicroBatch): void {
    this.#state.requireOpen();
    this.#requireSlots();
    const { program } = this.#options;
    checkMicroBatch(batch, { ...this.#options, vocabSize: program.sizes.vocabSize });
    const on = this.#interpretation(copyOf(batch), new Map());
    for (const node of program.prologue) interpret(node, on);
    this.#active.set(batch.index, { batch: on.batch, values: on.values });
  }

  attend(layer: LayerIndex, microBatch: MicroBatchIndex): void {
    const { stage, active, slot } = this.#enter(layer, microBatch);
    const on = this.#interpretation(active.batch, new Map(active.values));
    for (const node of stage.attend) if (node !== stage.router) interpret(node, on);
    const weight = weightOf(this.#weights, stage.router.weight);
    const routes = blocks.route(valueOf(on, stage.router.x), weight, stage.router);
    slot.hidden.set(valueOf(on, stage.message));
    slot.expertIds.set(routes.expertIds);
    slot.weights.set(routes.weights);
  }

  combine(layer: LayerIndex, microBatch: MicroBatchIndex): void {
    const { stage, active, slot } = this.#enter(layer, microBatch);
    blocks.combine(valueOf(active, stage.residual), slot, {
      tokens: active.batch.tokenIds.length,
      topK: stage.router.topK,
      hidden: widthOf(stage.residual),
    });
  }

  logits(microBatch: MicroBatchIndex): Float32Array {
    this.#state.requireOpen();
    const active = this.#requireActive(microBatch);
    const on = this.#interpretation(active.batch, new Map(active.values));
    for (const node of this.#options.program.epilogue) interpret(node, on);
    const head = this.#options.program.epilogue.find((node) => node.op === 'lmHead');
    return head === undefined ? refuse('The program has no lmHead.') : valueOf(on, head.out);
  }

  close(): void {
    this.#state.close();
    this.#active.clear();
  }

  #enter(
    layer: LayerIndex,
    microBatch: MicroBatchIndex,
  ): { stage: AttentionStageProgram; active: ActiveBatch; slot: SlotViews } {
    this.#state.requireOpen();
    const { stages } = this.#options.program;
    requireIndex('layer', layer, stages.length);
    const active = this.#requireActive(microBatch);
    const stage = stages[layer];
    const slot = this.#requireSlots()[microBatch];
    if (stage === undefined || slot === undefined) return refuse('Not a layer or not a slot.');
    return { stage, active, slot };
  }

  #requireActive(microBatch: MicroBatchIndex): ActiveBatch {
    requireIndex('micro-batch', microBatch, this.#options.microBatchCount);
    return this.#active.get(microBatch) ?? refuse(`Micro-batch ${microBatch} was not embedded.`);
  }

  #requireSlots(): readonly SlotViews[] {
    return this.#slots ?? refuse('No slots are bound. Call bindSlots first.');
  }

  #interpretation(batch: MicroBatch, values: Map<Value, Float32Array>): Interpretation {
    return { batch, values, weights: this.#weights, kvPages: this.#kvPages };
  }
}

/** One pair of page arrays per layer: that of a `kvAppend`, which the attention after it reads. */
function createAllKvPages(
  nodes: readonly GraphNode[],
  options: AttentionStageOptions,
): ReadonlyMap<GraphNode, KvPages> {
  const all = new Map<GraphNode, KvPages>();
  let appended: GraphNode | undefined;
  for (const node of nodes) {
    if (node.op === 'kvAppend') appended = node;
    if (node.op !== 'pagedAttention') continue;
    if (appended === undefined) return refuse('A pagedAttention stands before any kvAppend.');
    const { kvHeads, headSize } = node;
    const { kvPageSize: pageSize, kvCacheDtype: dtype = 'bf16' } = options;
    const size = { pageSize, kvHeads, headSize, dtype };
    const pages = all.get(appended) ?? createKvPages(options.kvPageCount, size);
    all.set(appended, pages).set(node, pages);
  }
  return all;
}

/** The caller may use its arrays again after `embed`. */
function copyOf(batch: MicroBatch): MicroBatch {
  return {
    index: batch.index,
    tokenIds: batch.tokenIds.slice(),
    positions: batch.positions.slice(),
    offsets: batch.offsets.slice(),
    kvPages: batch.kvPages.slice(),
    kvPageOffsets: batch.kvPageOffsets.slice(),
    logitsRows: batch.logitsRows.slice(),
  };
}
