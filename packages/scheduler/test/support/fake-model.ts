import type { MicroBatch } from '@megascale/core';
import { pingPong, type PipelineAction, type Step } from '../../src/index.js';

export const fakeLayerCount = 2;

/**
 * What one layer makes of the values of positions 0 … n: any change of a value or of their order
 * changes it.
 */
function fold(values: readonly number[], layer: number): number {
  return values.reduce(
    (hash, value) => Math.imul(hash ^ value, 0x01000193) >>> 0,
    2166136261 + layer,
  );
}

/**
 * A model whose next token depends on every token before it. Like a real one it knows the past only
 * through KV pages, layer by layer: a wrong page table, position, offset or order of micro-batches
 * gives another token.
 */
export class FakeModel {
  readonly #vocabSize: number;
  readonly #kvPageSize: number;
  /** kv[layer][page][place] */
  readonly #kv: (number | undefined)[][][];
  /** By step: [micro-batches][tokens] */
  readonly #hidden = new WeakMap<Step, number[][]>();

  constructor(options: { vocabSize: number; kvPageCount: number; kvPageSize: number }) {
    this.#vocabSize = options.vocabSize;
    this.#kvPageSize = options.kvPageSize;
    this.#kv = Array.from({ length: fakeLayerCount }, () =>
      Array.from({ length: options.kvPageCount }, () => []),
    );
  }

  /** The tokens chosen for each logits row of each micro-batch. */
  run(step: Step): number[][] {
    const sampled: number[][] = step.microBatches.map(() => []);
    for (const { index } of step.microBatches) this.embed(step, index);
    for (const action of pingPong(fakeLayerCount, step.microBatchIndices)) {
      const chosen = this.perform(step, action);
      if (chosen !== undefined) sampled[action.microBatch] = chosen;
    }
    return sampled;
  }

  embed(step: Step, microBatch: number): void {
    const values = this.#hidden.get(step) ?? [];
    this.#hidden.set(step, values);
    values[microBatch] = [...this.#batch(step, microBatch).tokenIds];
  }

  /** Of 'sample', the tokens chosen for the rows of the micro-batch's logits. */
  perform(step: Step, action: PipelineAction): number[] | undefined {
    const batch = this.#batch(step, action.microBatch);
    const values = this.#hidden.get(step)?.[action.microBatch];
    if (values === undefined) throw new Error('the micro-batch was not embedded');
    if (action.type === 'attend') this.#attend(action.layer, batch, values);
    if (action.type !== 'sample') return undefined;
    return Array.from(batch.logitsRows, (row) => this.#choose(values[row]));
  }

  /** The output that a sequence must have, computed directly from its tokens. */
  expectedOutput(
    prompt: readonly number[],
    maxTokens: number,
    eosTokenIds: readonly number[],
  ): number[] {
    const tokens = [...prompt];
    while (tokens.length < prompt.length + maxTokens) {
      let values: number[] = tokens;
      for (let layer = 0; layer < fakeLayerCount; layer += 1) {
        values = values.map((_, position) => fold(values.slice(0, position + 1), layer));
      }
      const next = this.#choose(values.at(-1));
      tokens.push(next);
      if (eosTokenIds.includes(next)) break;
    }
    return tokens.slice(prompt.length);
  }

  #batch(step: Step, microBatch: number): MicroBatch {
    const batch = step.microBatches[microBatch];
    if (batch === undefined) throw new Error('unknown micro-batch');
    return batch;
  }

  #attend(layer: number, batch: MicroBatch, values: number[]): void {
    const pages = this.#kv[layer] ?? [];
    for (let sequence = 0; sequence + 1 < batch.offsets.length; sequence += 1) {
      const table = batch.kvPages.subarray(
        batch.kvPageOffsets[sequence],
        batch.kvPageOffsets[sequence + 1],
      );
      const end = batch.offsets[sequence + 1] ?? 0;
      for (let row = batch.offsets[sequence] ?? 0; row < end; row += 1) {
        const position = batch.positions[row] ?? 0;
        const page = pages[table[Math.floor(position / this.#kvPageSize)] ?? -1];
        if (page === undefined) throw new Error(`no page for position ${position}`);
        page[position % this.#kvPageSize] = values[row];
        values[row] = fold(this.#read(pages, table, position + 1), layer);
      }
    }
  }

  #read(pages: readonly (number | undefined)[][], table: Int32Array, count: number): number[] {
    return Array.from({ length: count }, (_, position) => {
      const page = table[Math.floor(position / this.#kvPageSize)] ?? -1;
      const value = pages[page]?.[position % this.#kvPageSize];
      if (value === undefined) throw new Error(`position ${position} was never computed`);
      return value;
    });
  }

  #choose(value: number | undefined): number {
    if (value === undefined) throw new Error('no logits');
    return value % this.#vocabSize;
  }
}
