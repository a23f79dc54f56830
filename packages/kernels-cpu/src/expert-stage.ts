import type {
  ExpertId,
  ExpertInput,
  ExpertsNode,
  ExpertSlot,
  ExpertStage,
  ExpertStageOptions,
  ExpertWeights,
  LayerIndex,
  WeightSource,
} from '@megascale/core';
import type {
  NativeAddon,
  NativeBackend,
  NativeExpertProgram,
  NativeExpertStage,
  NativeTensor,
} from './binding/binding.js';
import { callNative, refuse, refuseClosed } from './binding/native-error.js';
import { NativeProfiler } from './binding/native-profiler.js';
import { nativeTensor, regionBytes } from './binding/native-memory.js';

/**
 * The expert stage. The constructor and `load` pack the resident experts; each layer is then one
 * native call.
 */
export class CpuExpertStage implements ExpertStage {
  readonly profiler: NativeProfiler;
  readonly #options: ExpertStageOptions;
  #native: NativeExpertStage | undefined;
  #bound = false;

  constructor(addon: NativeAddon, backend: NativeBackend, options: ExpertStageOptions) {
    const { program, weights, experts, rowsMax } = options;
    if (!Number.isSafeInteger(rowsMax) || rowsMax < 0)
      refuse(`rowsMax is ${rowsMax}, expected a count.`);
    this.#options = options;
    if (experts.length !== program.stages.length) {
      refuse(`experts is of ${experts.length} layers, the program of ${program.stages.length}.`);
    }
    const resident = program.stages.flatMap((node, layer) =>
      residentWeights(node, experts[layer] ?? []),
    );
    const matrices = resident.flatMap((each) => matricesOf(weights, each));
    const nativeProgram: NativeExpertProgram = {
      matrices,
      layerCount: program.stages.length,
      experts: experts.map((ids) => Float64Array.from(ids)),
      expertCount: program.sizes.expertCount,
      hiddenSize: program.sizes.hiddenSize,
      widthMax: Math.max(0, ...program.stages.map((node) => node.width)),
      rowsMax,
    };
    this.#native = callNative(() => new addon.ExpertStage(backend, nativeProgram));
    this.profiler = new NativeProfiler(addon.profiledOps, () => this.#open());
  }

  bindSlots(slots: readonly ExpertSlot[]): void {
    const native = this.#open();
    if (this.#bound) refuse('Slots are bound already; bindSlots is called once.');
    const bytes = slots.map(({ hidden, answers }, i) => [
      regionBytes(`slots[${i}].hidden`, hidden),
      regionBytes(`slots[${i}].answers`, answers),
    ]);
    callNative(() => {
      native.bindSlots(bytes);
    });
    this.#bound = true;
  }

  run(layer: LayerIndex, input: ExpertInput): void {
    const native = this.#open();
    if (input.layer !== layer) {
      refuse(`The input is of layer ${input.layer}, the call is for layer ${layer}.`);
    }
    const { rowCount, rowsPerExpert, slotIndex, hiddenRow, answerRow } = input;
    callNative(() => {
      native.run(layer, rowCount, rowsPerExpert, slotIndex, hiddenRow, answerRow);
    });
  }

  load(layer: LayerIndex, expert: ExpertId): number {
    const native = this.#open();
    const { program, weights } = this.#options;
    const node = program.stages[layer] ?? refuse(`Layer ${layer} does not exist.`);
    const [refs] = residentWeights(node, [expert]);
    const matrices = refs === undefined ? [] : matricesOf(weights, refs);
    return callNative(() => native.load(layer, expert, matrices));
  }

  drop(layer: LayerIndex, expert: ExpertId): number {
    const native = this.#open();
    return callNative(() => native.drop(layer, expert));
  }

  close(): void {
    this.#native?.close();
    this.#native = undefined;
  }

  #open(): NativeExpertStage {
    return this.#native ?? refuseClosed('cpu expert stage');
  }
}

/** Gate and up as a pair, then down. */
function matricesOf(
  source: WeightSource,
  { gate, up, down }: ExpertWeights,
): readonly (readonly NativeTensor[])[] {
  return [[nativeTensor(source, gate), nativeTensor(source, up)], [nativeTensor(source, down)]];
}

/** The weights of these experts of one layer, in their order. */
function residentWeights(node: ExpertsNode, ids: readonly number[]): readonly ExpertWeights[] {
  return ids.map((id, i) => {
    const before = ids[i - 1];
    if (before !== undefined && before >= id) refuse(`experts: ${before}, ${id} do not ascend.`);
    return (
      node.experts[id] ??
      refuse(`Expert ${id} is not among the ${node.experts.length} of the model.`)
    );
  });
}
