import {
  expertId,
  type AttentionSlot,
  type AttentionStage,
  type ExpertId,
  type ExpertInput,
  type ExpertSlot,
  type ExpertStage,
  type LayerIndex,
  type MicroBatch,
  type MicroBatchIndex,
  type Region,
} from '@megascale/core';

export const hiddenSize = 4;
export const vocabSize = 61;
export const topK = 2;

export interface HashedModel {
  readonly layerCount: number;
  readonly expertCount: number;
  readonly kvPageCount: number;
  readonly kvPageSize: number;
}

/** Lets simulated time go by. */
export type Work = (tokens: number) => void;

function mix(hash: number, value: number): number {
  return Math.imul(Math.imul(hash ^ value, 0x01000193) ^ (hash >>> 15), 0x2c1b3c6d) | 0;
}

function attended(values: readonly number[], layer: number): number {
  return values.reduce(mix, -2128831035 + layer);
}

/** One token in sixteen goes to one expert only. */
export function routesOf(value: number, layer: number, expertCount: number): [number, number] {
  const bits = mix(value, 77 + layer) >>> 0;
  const first = bits % expertCount;
  if (bits >>> 28 === 0 || expertCount === 1) return [first, -1];
  return [first, (first + 1 + ((bits >>> 8) % (expertCount - 1))) % expertCount];
}

/** Element i of what an expert is sent of a token. */
const sent = (value: number, element: number): number => mix(value, element + 1);
const answered = (element: number, layer: number, expert: number): number =>
  mix(mix(element, 1000 + layer), expert);

/** The residual after all answers, in ascending k. */
function combined(value: number, answers: readonly number[]): number {
  return answers.reduce(mix, mix(value, 5));
}

const chosen = (value: number): number => (value >>> 0) % vocabSize;

/**
 * The output that a request must have, computed from its tokens without pages, micro-batches or
 * anybody else.
 */
export function expectedOutput(
  model: HashedModel,
  prompt: readonly number[],
  end: { readonly maxTokens: number; readonly endTokenIds: readonly number[] },
): number[] {
  const tokens = [...prompt];
  while (tokens.length < prompt.length + end.maxTokens) {
    let values: number[] = tokens;
    for (let layer = 0; layer < model.layerCount; layer += 1) {
      values = values.map((_, position) => {
        const value = attended(values.slice(0, position + 1), layer);
        const answers = routesOf(value, layer, model.expertCount).flatMap((expert) =>
          expert < 0
            ? []
            : Array.from({ length: hiddenSize }, (__, i) =>
                answered(sent(value, i), layer, expert),
              ),
        );
        return combined(value, answers);
      });
    }
    const next = chosen(values.at(-1) ?? 0);
    tokens.push(next);
    if (end.endTokenIds.includes(next)) break;
  }
  return tokens.slice(prompt.length);
}

/**
 * The attention half of a model of hashes. Like a real one it knows the past only through KV pages
 * and the experts only through slots: a wrong page, position, route, answer or order gives other
 * tokens.
 */
export class HashedAttentionStage implements AttentionStage {
  readonly #model: HashedModel;
  readonly #work: Work;
  /** kv[layer][page · size + place] */
  readonly #kv: (number | undefined)[][];
  readonly #batches: MicroBatch[] = [];
  /** [micro-batches][tokens] */
  readonly #values: number[][] = [];
  #slots: { hidden: Int32Array; ids: Int32Array; answers: Int32Array }[] = [];
  /** Rows that experts were asked for. */
  routes = 0;

  constructor(model: HashedModel, work: Work) {
    this.#model = model;
    this.#work = work;
    this.#kv = Array.from({ length: model.layerCount }, () => []);
  }

  bindSlots(slots: readonly AttentionSlot[]): void {
    this.#slots = slots.map(({ hidden, expertIds, answers }) => ({
      hidden: words(hidden),
      ids: words(expertIds),
      answers: words(answers),
    }));
  }

  embed(batch: MicroBatch): void {
    this.#batches[batch.index] = batch;
    this.#values[batch.index] = [...batch.tokenIds];
  }

  attend(layer: LayerIndex, microBatch: MicroBatchIndex): void {
    const { batch, values, slot } = this.#at(microBatch);
    for (let sequence = 0; sequence + 1 < batch.offsets.length; sequence += 1) {
      this.#attendSequence(layer, batch, sequence, values);
    }
    for (const [row, value] of values.entries()) {
      for (let i = 0; i < hiddenSize; i += 1) slot.hidden[row * hiddenSize + i] = sent(value, i);
      const routes = routesOf(value, layer, this.#model.expertCount);
      slot.ids.set(routes, row * topK);
      this.routes += routes.filter((expert) => expert >= 0).length;
    }
    this.#work(values.length);
  }

  combine(_: LayerIndex, microBatch: MicroBatchIndex): void {
    const { values, slot } = this.#at(microBatch);
    for (const [row, value] of values.entries()) {
      const answers: number[] = [];
      for (let k = row * topK; k < (row + 1) * topK; k += 1) {
        if ((slot.ids[k] ?? -1) < 0) continue;
        answers.push(...slot.answers.subarray(k * hiddenSize, (k + 1) * hiddenSize));
      }
      values[row] = combined(value, answers);
    }
  }

  logits(microBatch: MicroBatchIndex): Float32Array {
    const { batch, values } = this.#at(microBatch);
    const logits = new Float32Array(batch.logitsRows.length * vocabSize);
    for (const [index, row] of batch.logitsRows.entries()) {
      logits[index * vocabSize + chosen(values[row] ?? 0)] = 1;
    }
    return logits;
  }

  close(): void {
    this.#batches.length = 0;
  }

  #attendSequence(layer: number, batch: MicroBatch, sequence: number, values: number[]): void {
    const { kvPageSize } = this.#model;
    const [from, to] = [batch.kvPageOffsets[sequence], batch.kvPageOffsets[sequence + 1]];
    const table = batch.kvPages.subarray(from, to);
    const kv = this.#kv[layer] ?? [];
    const placeOf = (position: number): number => {
      const page = table[Math.floor(position / kvPageSize)];
      if (page === undefined) throw new Error(`There is no page for position ${position}.`);
      return page * kvPageSize + (position % kvPageSize);
    };
    for (
      let row = batch.offsets[sequence] ?? 0;
      row < (batch.offsets[sequence + 1] ?? 0);
      row += 1
    ) {
      const position = batch.positions[row] ?? 0;
      kv[placeOf(position)] = values[row];
      const past = Array.from({ length: position + 1 }, (_, before) => {
        const value = kv[placeOf(before)];
        if (value === undefined) throw new Error(`Position ${before} was never computed.`);
        return value;
      });
      values[row] = attended(past, layer);
    }
  }

  #at(microBatch: number) {
    const [batch, values] = [this.#batches[microBatch], this.#values[microBatch]];
    const slot = this.#slots[microBatch];
    if (batch === undefined || values === undefined || slot === undefined) {
      throw new Error(`Micro-batch ${microBatch} was not embedded.`);
    }
    return { batch, values, slot };
  }
}

/** Bytes of one expert's weights in one layer. */
export const expertBytes = 1_000;

/** The experts' half. */
export class HashedExpertStage implements ExpertStage {
  /** [layers] */
  readonly #experts: readonly Set<ExpertId>[];
  readonly #work: Work;
  readonly #load: () => void;
  #slots: { hidden: Int32Array; answers: Int32Array }[] = [];
  rows = 0;

  /** `load` lets the time go by that loading an expert takes. */
  constructor(
    experts: readonly (readonly ExpertId[])[],
    time: { readonly work: Work; readonly load: () => void },
  ) {
    this.#experts = experts.map((ids) => new Set(ids));
    this.#work = time.work;
    this.#load = time.load;
  }

  /** [layers] those that are here, ascending. */
  get experts(): number[][] {
    return this.#experts.map((ids) => [...ids].sort((a, b) => a - b));
  }

  bindSlots(slots: readonly ExpertSlot[]): void {
    this.#slots = slots.map(({ hidden, answers }) => ({
      hidden: words(hidden),
      answers: words(answers),
    }));
  }

  run(layer: LayerIndex, input: ExpertInput): void {
    // Rows are read when the work begins and answers written when it ends: a writer in
    // between is found out.
    const answers: number[] = [];
    for (const [row, expert] of expertsOf(input).entries()) {
      if (this.#experts[layer]?.has(expert) !== true)
        throw new Error(`Expert ${expert} is not here.`);
      const slot = this.#slots[input.slotIndex[row] ?? -1];
      const from = (input.hiddenRow[row] ?? -1) * hiddenSize;
      for (let i = from; i < from + hiddenSize; i += 1) {
        answers.push(answered(slot?.hidden[i] ?? 0, layer, expert));
      }
    }
    this.#work(input.rowCount);
    for (let row = 0; row < input.rowCount; row += 1) {
      const slot = this.#slots[input.slotIndex[row] ?? -1];
      const own = answers.slice(row * hiddenSize, (row + 1) * hiddenSize);
      slot?.answers.set(own, (input.answerRow[row] ?? 0) * hiddenSize);
    }
    this.rows += input.rowCount;
  }

  load(layer: LayerIndex, expert: ExpertId): number {
    this.#load();
    this.#experts[layer]?.add(expert);
    return expertBytes;
  }

  drop(layer: LayerIndex, expert: ExpertId): number {
    return this.#experts[layer]?.delete(expert) === true ? expertBytes : 0;
  }

  close(): void {
    this.#slots = [];
  }
}

/** [rows] */
function expertsOf({ rowsPerExpert }: ExpertInput): ExpertId[] {
  return [...rowsPerExpert].flatMap((rows, id) => Array.from({ length: rows }, () => expertId(id)));
}

function words({ bytes }: Region): Int32Array {
  if (bytes === undefined) throw new Error('The slots are not in host memory.');
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
