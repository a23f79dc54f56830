import type { ExpertsNode, ExpertWeights } from '../graph/ops.js';
import type { ExpertInput, ExpertSlot, ExpertStage, ExpertStageOptions } from '../spec/backend.js';
import type { ExpertId, LayerIndex } from '../spec/units.js';
import { expertFeedForward } from './blocks.js';
import { checkExpertInput } from '../stages/check-expert-input.js';
import { f32View } from '../stages/region-views.js';
import { weightOf } from './interpret.js';
import { readWeights } from './read-weights.js';
import {
  OpenState,
  refuse,
  requireAscendingExperts,
  requireIndex,
} from '../stages/stage-validation.js';

/** A bound slot as typed views; shapes as in `ExpertSlot`. */
interface SlotViews {
  readonly hidden: Float32Array;
  readonly answers: Float32Array;
}

type ExpertF32 = Readonly<Record<keyof ExpertWeights, Float32Array>>;

/** The expert stage: computes one row after the other through its expert. */
export class ReferenceExpertStage implements ExpertStage {
  readonly #options: ExpertStageOptions;
  /** [layer] the weights of the experts that are here. */
  readonly #experts: readonly Map<ExpertId, ExpertF32>[];
  readonly #state = new OpenState('reference expert stage');
  #slots: readonly SlotViews[] | undefined;

  constructor(options: ExpertStageOptions) {
    this.#options = options;
    requireAscendingExperts(options);
    this.#experts = options.program.stages.map(
      (node, layer) =>
        new Map((options.experts[layer] ?? []).map((id) => [id, this.#read(node, id)])),
    );
  }

  bindSlots(slots: readonly ExpertSlot[]): void {
    this.#state.requireOpen();
    if (this.#slots !== undefined) refuse('Slots are bound already; bindSlots is called once.');
    this.#slots = slots.map((slot, i) => ({
      hidden: f32View(`slots[${i}].hidden`, slot.hidden, 0),
      answers: f32View(`slots[${i}].answers`, slot.answers, 0),
    }));
  }

  run(layer: LayerIndex, input: ExpertInput): void {
    this.#state.requireOpen();
    const slots = this.#slots ?? refuse('No slots are bound. Call bindSlots first.');
    const { hiddenSize, expertCount } = this.#options.program.sizes;
    const experts = this.#experts[layer];
    checkExpertInput(layer, input, {
      layerCount: this.#experts.length,
      expertCount,
      isResident: (_, expert) => experts?.has(expert) === true,
      rowsMax: this.#options.rowsMax,
      slots: slots.map((slot) => ({
        hiddenRows: Math.floor(slot.hidden.length / hiddenSize),
        answerRows: Math.floor(slot.answers.length / hiddenSize),
      })),
    });
    let row = 0;
    input.rowsPerExpert.forEach((rows, expert) => {
      const weights = experts?.get(expert as ExpertId);
      const end = row + rows;
      for (; row < end && weights !== undefined; row += 1) {
        const slot = slots[input.slotIndex[row] as number] as SlotViews;
        const from = (input.hiddenRow[row] as number) * hiddenSize;
        const x = slot.hidden.subarray(from, from + hiddenSize);
        const answer = expertFeedForward(x, weights, hiddenSize);
        slot.answers.set(answer, (input.answerRow[row] as number) * hiddenSize);
      }
    });
  }

  load(layer: LayerIndex, expert: ExpertId): number {
    this.#state.requireOpen();
    const { stages } = this.#options.program;
    requireIndex('layer', layer, stages.length);
    const [node, experts] = [stages[layer], this.#experts[layer]];
    if (node === undefined || experts === undefined) return 0;
    requireIndex('expert', expert, node.experts.length);
    if (experts.has(expert)) return 0;
    const weights = this.#read(node, expert);
    experts.set(expert, weights);
    return bytesOf(weights);
  }

  drop(layer: LayerIndex, expert: ExpertId): number {
    this.#state.requireOpen();
    requireIndex('layer', layer, this.#experts.length);
    requireIndex('expert', expert, this.#options.program.sizes.expertCount);
    const experts = this.#experts[layer];
    const weights = experts?.get(expert);
    experts?.delete(expert);
    return weights === undefined ? 0 : bytesOf(weights);
  }

  close(): void {
    this.#state.close();
  }

  #read(node: ExpertsNode, expert: ExpertId): ExpertF32 {
    const refs = node.experts[expert] ?? refuse(`Expert ${expert} is not in the model.`);
    const weights = readWeights(this.#options.weights, [refs.gate, refs.up, refs.down]);
    return {
      gate: weightOf(weights, refs.gate),
      up: weightOf(weights, refs.up),
      down: weightOf(weights, refs.down),
    };
  }
}

function bytesOf({ gate, up, down }: ExpertF32): number {
  return gate.byteLength + up.byteLength + down.byteLength;
}
