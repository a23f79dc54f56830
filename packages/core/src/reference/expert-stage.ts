import type { ExpertsNode, ExpertWeights } from '../graph/ops.js';
import type { ExpertInput, ExpertSlot, ExpertStage, ExpertStageOptions } from '../spec/backend.js';
import type { LayerIndex } from '../spec/units.js';
import { expertFeedForward } from './blocks.js';
import { checkExpertInput } from './check-expert-input.js';
import { f32View } from './f32-view.js';
import { weightOf } from './interpret.js';
import { readWeights, type F32Weights } from './read-weights.js';
import { refuse, requireIndex, StageDoor } from './stage-door.js';

/** A bound slot as typed views; shapes as in `ExpertSlot`. */
interface SlotViews {
  readonly hidden: Float32Array;
  readonly answers: Float32Array;
}

/** The expert half: each row through its expert, one row at a time. */
export class ReferenceExpertStage implements ExpertStage {
  readonly #options: ExpertStageOptions;
  /** [layer][local expert]. */
  readonly #experts: readonly (readonly ExpertWeights[])[];
  readonly #weights: F32Weights;
  readonly #door = new StageDoor('reference expert stage');
  #slots: readonly SlotViews[] | undefined;

  constructor(options: ExpertStageOptions) {
    this.#options = options;
    this.#experts = options.program.stages.map((node) => localExperts(node, options.experts));
    const refs = this.#experts.flat().flatMap(({ gate, up, down }) => [gate, up, down]);
    this.#weights = readWeights(options.weights, refs);
  }

  bindSlots(slots: readonly ExpertSlot[]): void {
    this.#door.requireOpen();
    if (this.#slots !== undefined) refuse('Slots are bound already; bindSlots is called once.');
    this.#slots = slots.map((slot, i) => ({
      hidden: f32View(`slots[${i}].hidden`, slot.hidden, 0),
      answers: f32View(`slots[${i}].answers`, slot.answers, 0),
    }));
  }

  run(layer: LayerIndex, input: ExpertInput): void {
    this.#door.requireOpen();
    const slots = this.#slots ?? refuse('No slots are bound. Call bindSlots first.');
    const { hiddenSize } = this.#options.program.sizes;
    checkExpertInput(layer, input, {
      layerCount: this.#experts.length,
      localExpertCount: this.#options.experts.length,
      rowsMax: this.#options.rowsMax,
      slots: slots.map((slot) => ({
        hiddenRows: Math.floor(slot.hidden.length / hiddenSize),
        answerRows: Math.floor(slot.answers.length / hiddenSize),
      })),
    });
    let row = 0;
    this.#experts[layer]?.forEach((expert, local) => {
      const weights = this.#f32(expert);
      const end = row + (input.rowsPerExpert[local] as number);
      for (; row < end; row += 1) {
        const slot = slots[input.slotIndex[row] as number] as SlotViews;
        const from = (input.hiddenRow[row] as number) * hiddenSize;
        const x = slot.hidden.subarray(from, from + hiddenSize);
        const answer = expertFeedForward(x, weights, hiddenSize);
        slot.answers.set(answer, (input.answerRow[row] as number) * hiddenSize);
      }
    });
  }

  close(): void {
    this.#door.close();
  }

  #f32({ gate, up, down }: ExpertWeights): Record<keyof ExpertWeights, Float32Array> {
    return {
      gate: weightOf(this.#weights, gate),
      up: weightOf(this.#weights, up),
      down: weightOf(this.#weights, down),
    };
  }
}

function localExperts(node: ExpertsNode, ids: readonly number[]): readonly ExpertWeights[] {
  return ids.map((id, i) => {
    requireIndex(`experts[${i}]`, id, node.experts.length);
    const before = ids[i - 1];
    if (before !== undefined && before >= id) refuse(`experts: ${before}, ${id} do not ascend.`);
    return node.experts[id] ?? refuse(`Expert ${id} is not in the model.`);
  });
}
