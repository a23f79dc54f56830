import { checkExpertInput } from '../stages/check-expert-input.js';
import {
  OpenState,
  refuse,
  requireAscendingExperts,
  requireIndex,
} from '../stages/stage-validation.js';
import type { ExpertInput, ExpertSlot, ExpertStage, ExpertStageOptions } from '../spec/backend.js';
import type { ExpertId, LayerIndex } from '../spec/units.js';
import type { NullClock } from './null-times.js';

/**
 * Takes the time of an expert stage and leaves the expert outputs as they are. Experts take no
 * memory and no time to load.
 */
export class NullExpertStage implements ExpertStage {
  readonly #options: ExpertStageOptions;
  readonly #clock: NullClock;
  readonly #state = new OpenState('null expert stage');
  /** [layer] the experts that are here. */
  readonly #experts: readonly Set<ExpertId>[];
  #slots: readonly { readonly hiddenRows: number; readonly answerRows: number }[] | undefined;

  constructor(options: ExpertStageOptions, clock: NullClock) {
    requireAscendingExperts(options);
    this.#options = options;
    this.#clock = clock;
    this.#experts = options.experts.map((ids) => new Set(ids));
  }

  bindSlots(slots: readonly ExpertSlot[]): void {
    this.#state.requireOpen();
    if (this.#slots !== undefined) refuse('Slots are bound already; bindSlots is called once.');
    const rowBytes = this.#options.program.sizes.hiddenSize * 4;
    this.#slots = slots.map(({ hidden, answers }) => ({
      hiddenRows: Math.floor(hidden.byteLength / rowBytes),
      answerRows: Math.floor(answers.byteLength / rowBytes),
    }));
  }

  run(layer: LayerIndex, input: ExpertInput): void {
    const startUs = this.#clock.nowUs();
    this.#state.requireOpen();
    checkExpertInput(layer, input, {
      layerCount: this.#experts.length,
      expertCount: this.#options.program.sizes.expertCount,
      isResident: (_, expert) => this.#experts[layer]?.has(expert) === true,
      rowsMax: this.#options.rowsMax,
      slots: this.#slots ?? refuse('No slots are bound. Call bindSlots first.'),
    });
    const { expertUs, expertRowUs } = this.#clock.times;
    this.#clock.waitUntil(startUs + expertUs + expertRowUs * input.rowCount);
  }

  load(layer: LayerIndex, expert: ExpertId): number {
    this.#state.requireOpen();
    requireIndex('layer', layer, this.#experts.length);
    requireIndex('expert', expert, this.#options.program.sizes.expertCount);
    this.#experts[layer]?.add(expert);
    return 0;
  }

  drop(layer: LayerIndex, expert: ExpertId): number {
    this.#state.requireOpen();
    requireIndex('layer', layer, this.#experts.length);
    requireIndex('expert', expert, this.#options.program.sizes.expertCount);
    this.#experts[layer]?.delete(expert);
    return 0;
  }

  close(): void {
    this.#state.close();
  }
}
