import type {
  ExpertInput,
  ExpertsNode,
  ExpertSlot,
  ExpertStage,
  ExpertStageOptions,
  ExpertWeights,
  LayerIndex,
} from '@megascale/core';
import type { NativeAddon, NativeBackend, NativeExpertStage } from './binding.js';
import { fromNative, refuse, refuseClosed } from './native-error.js';
import { NativeProfiler } from './native-profiler.js';
import { nativeTensor } from './native-tensor.js';
import { regionBytes } from './region-bytes.js';

/** The expert half: the local experts packed at creation, then one native call per layer. */
export class CpuExpertStage implements ExpertStage {
  readonly profiler: NativeProfiler;
  #native: NativeExpertStage | undefined;
  #bound = false;

  constructor(addon: NativeAddon, backend: NativeBackend, options: ExpertStageOptions) {
    const { program, weights, experts, rowsMax } = options;
    if (!Number.isSafeInteger(rowsMax) || rowsMax < 0)
      refuse(`rowsMax is ${rowsMax}, expected a count.`);
    const local = program.stages.map((node) => localExperts(node, experts));
    const matrices = local
      .flat()
      .flatMap(({ gate, up, down }) => [
        [nativeTensor(weights, gate), nativeTensor(weights, up)],
        [nativeTensor(weights, down)],
      ]);
    try {
      this.#native = new addon.ExpertStage(backend, {
        matrices,
        layerCount: program.stages.length,
        expertCount: experts.length,
        hiddenSize: program.sizes.hiddenSize,
        widthMax: Math.max(0, ...program.stages.map((node) => node.width)),
        rowsMax,
      });
    } catch (error) {
      throw fromNative(error);
    }
    this.profiler = new NativeProfiler(addon.profiledOps, () => this.#open());
  }

  bindSlots(slots: readonly ExpertSlot[]): void {
    const native = this.#open();
    if (this.#bound) refuse('Slots are bound already; bindSlots is called once.');
    const bytes = slots.map(({ hidden, answers }, i) => [
      regionBytes(`slots[${i}].hidden`, hidden),
      regionBytes(`slots[${i}].answers`, answers),
    ]);
    try {
      native.bindSlots(bytes);
    } catch (error) {
      throw fromNative(error);
    }
    this.#bound = true;
  }

  run(layer: LayerIndex, input: ExpertInput): void {
    const native = this.#open();
    if (input.layer !== layer) {
      refuse(`The input is of layer ${input.layer}, the call is for layer ${layer}.`);
    }
    const { rowCount, rowsPerExpert, slotIndex, hiddenRow, answerRow } = input;
    try {
      native.run(layer, rowCount, rowsPerExpert, slotIndex, hiddenRow, answerRow);
    } catch (error) {
      throw fromNative(error);
    }
  }

  close(): void {
    this.#native?.close();
    this.#native = undefined;
  }

  #open(): NativeExpertStage {
    return this.#native ?? refuseClosed('cpu expert stage');
  }
}

/** The weights of the experts that live here, in their order. */
function localExperts(node: ExpertsNode, ids: readonly number[]): readonly ExpertWeights[] {
  return ids.map((id, i) => {
    const before = ids[i - 1];
    if (before !== undefined && before >= id) refuse(`experts: ${before}, ${id} do not ascend.`);
    return (
      node.experts[id] ??
      refuse(`Expert ${id} is not among the ${node.experts.length} of the model.`)
    );
  });
}
