import { checkMicroBatch } from '../stages/check-micro-batch.js';
import { i32View } from '../stages/region-views.js';
import { OpenState, refuse, requireIndex, requireRegion } from '../stages/stage-validation.js';
import type {
  AttentionSlot,
  AttentionStage,
  AttentionStageOptions,
  MicroBatch,
} from '../spec/backend.js';
import type { LayerIndex, MicroBatchIndex } from '../spec/units.js';
import type { NullClock } from './null-times.js';

interface SlotViews {
  /** [T, topK] */
  readonly expertIds: Int32Array;
}

interface ActiveBatch {
  readonly tokenIds: Int32Array;
  readonly positions: Int32Array;
  readonly logitsRows: Int32Array;
  /** Of one `attend`. */
  readonly attendUs: number;
}

/**
 * Takes the time of an attention stage and computes nothing. Routes are uniform over the experts,
 * and the next token is a function of a token and its position.
 */
export class NullAttentionStage implements AttentionStage {
  readonly #options: AttentionStageOptions;
  readonly #clock: NullClock;
  readonly #state = new OpenState('null attention stage');
  readonly #active: (ActiveBatch | undefined)[] = [];
  /** [rows, vocabSize], all zero but for one element of each row. */
  #logits = new Float32Array(0);
  readonly #marked: number[] = [];
  #slots: readonly SlotViews[] | undefined;

  constructor(options: AttentionStageOptions, clock: NullClock) {
    const { kvPageSize } = options;
    if (kvPageSize <= 0 || kvPageSize % 16 !== 0) {
      refuse(`kvPageSize: found ${kvPageSize}, expected a multiple of 16.`);
    }
    this.#options = options;
    this.#clock = clock;
  }

  bindSlots(slots: readonly AttentionSlot[]): void {
    this.#state.requireOpen();
    if (this.#slots !== undefined) refuse('Slots are bound already; bindSlots is called once.');
    const { program, microBatchCount, tokensPerMicroBatchMax: tokens } = this.#options;
    if (slots.length !== microBatchCount) {
      refuse(`Found ${slots.length} slots, expected one per micro-batch, ${microBatchCount}.`);
    }
    const { topK, hiddenSize } = program.sizes;
    this.#slots = slots.map((slot, i) => {
      requireRegion(`slots[${i}].hidden`, slot.hidden, tokens * hiddenSize * 4);
      requireRegion(`slots[${i}].answers`, slot.answers, tokens * topK * hiddenSize * 4);
      requireRegion(`slots[${i}].weights`, slot.weights, tokens * topK * 4);
      return { expertIds: i32View(`slots[${i}].expertIds`, slot.expertIds, tokens * topK) };
    });
  }

  embed(batch: MicroBatch): void {
    this.#state.requireOpen();
    this.#requireSlots();
    const { program } = this.#options;
    checkMicroBatch(batch, { ...this.#options, vocabSize: program.sizes.vocabSize });
    const { attendUs, attendTokenUs, attendContextTokenUs } = this.#clock.times;
    const read = batch.positions.reduce((sum, position) => sum + position + 1, 0);
    this.#active[batch.index] = {
      tokenIds: batch.tokenIds.slice(),
      positions: batch.positions.slice(),
      logitsRows: batch.logitsRows.slice(),
      attendUs: attendUs + attendTokenUs * batch.tokenIds.length + attendContextTokenUs * read,
    };
  }

  attend(layer: LayerIndex, microBatch: MicroBatchIndex): void {
    const endUs = this.#clock.nowUs();
    const { active, slot } = this.#enter(layer, microBatch);
    const { topK, expertCount } = this.#options.program.sizes;
    for (const [token, position] of active.positions.entries()) {
      const first = (active.tokenIds[token] ?? 0) + position + layer;
      for (let k = 0; k < topK; k += 1) {
        slot.expertIds[token * topK + k] = (first * topK + k) % expertCount;
      }
    }
    this.#clock.waitUntil(endUs + active.attendUs);
  }

  combine(layer: LayerIndex, microBatch: MicroBatchIndex): void {
    this.#enter(layer, microBatch);
  }

  logits(microBatch: MicroBatchIndex): Float32Array {
    this.#state.requireOpen();
    const { logitsRows, tokenIds, positions } = this.#requireActive(microBatch);
    const { vocabSize } = this.#options.program.sizes;
    const length = logitsRows.length * vocabSize;
    if (this.#logits.length < length) {
      this.#logits = new Float32Array(length);
      this.#marked.length = 0;
    }
    for (const place of this.#marked) this.#logits[place] = 0;
    this.#marked.length = 0;
    for (const [row, token] of logitsRows.entries()) {
      const next = ((tokenIds[token] ?? 0) * 31 + (positions[token] ?? 0) * 17 + 7) % vocabSize;
      this.#logits[row * vocabSize + next] = 1;
      this.#marked.push(row * vocabSize + next);
    }
    return this.#logits.subarray(0, length);
  }

  close(): void {
    this.#state.close();
    this.#active.length = 0;
  }

  #enter(layer: LayerIndex, microBatch: MicroBatchIndex): { active: ActiveBatch; slot: SlotViews } {
    this.#state.requireOpen();
    requireIndex('layer', layer, this.#options.program.stages.length);
    const active = this.#requireActive(microBatch);
    const slot = this.#requireSlots()[microBatch];
    if (slot === undefined) return refuse('Not a slot.');
    return { active, slot };
  }

  #requireActive(microBatch: MicroBatchIndex): ActiveBatch {
    requireIndex('micro-batch', microBatch, this.#options.microBatchCount);
    return this.#active[microBatch] ?? refuse(`Micro-batch ${microBatch} was not embedded.`);
  }

  #requireSlots(): readonly SlotViews[] {
    return this.#slots ?? refuse('No slots are bound. Call bindSlots first.');
  }
}
