import { TransportError } from '../errors.js';
import type { ExpertInput } from '../spec/backend.js';
import { layerIndex, type LayerIndex } from '../spec/units.js';

/** The routes of one micro-batch that take part in a merge. */
export interface RowSource {
  /** Index of its slot in the table bound to the expert stage. */
  slotIndex: number;
  /** Routed tokens in the slot. */
  tokens: number;
  /** [≥ tokens, topK] expert ids; -1 = no expert. */
  expertIds: Int32Array;
  /**
   * [≥ tokens, topK] the expert rank that takes each row; without it, all rows of resident experts
   * are taken.
   */
  expertRanks?: Int32Array;
  /** [expertCount] from `residentTable`, of the placement that these routes were made under. */
  residents: Uint8Array;
}

export interface RowListOptions {
  /** Of the model: the length of `rowsPerExpert`. */
  readonly expertCount: number;
  readonly topK: number;
  /** Rows the lists have room for. */
  readonly rowsMax: number;
  /** The expert rank whose rows are taken, of sources that have `expertRanks`. */
  readonly rank?: number;
}

/**
 * An `ExpertInput` whose arrays are allocated once and filled again for every merge.
 *
 * `merge` is a counting sort: rows come out sorted by expert, and within one expert in the
 * order of the sources and of their tokens. Sources must therefore be given by attention rank, then
 * micro-batch.
 */
export class RowList implements ExpertInput {
  layer: LayerIndex = layerIndex(0);
  rowCount = 0;
  readonly rowsPerExpert: Int32Array;
  readonly slotIndex: Int32Array;
  readonly hiddenRow: Int32Array;
  readonly answerRow: Int32Array;
  /** [expertCount] where the next row of each expert goes. */
  readonly #nextRow: Int32Array;
  readonly #rank: number;

  readonly #options: RowListOptions;

  constructor(options: RowListOptions) {
    this.#options = options;

    this.rowsPerExpert = new Int32Array(options.expertCount);
    this.#nextRow = new Int32Array(options.expertCount);
    this.slotIndex = new Int32Array(options.rowsMax);
    this.hiddenRow = new Int32Array(options.rowsMax);
    this.answerRow = new Int32Array(options.rowsMax);
    this.#rank = options.rank ?? -1;
  }

  /**
   * Replaces the content by the rows of the first `sourceCount` sources that belong to experts
   * resident here, and to this rank where a source says who takes what.
   *
   * @throws TransportError 'ERR_FRAME_INVALID' for an expert id outside -1 … expertCount - 1, a row
   * given to this rank of an expert that is not resident here, or more rows than `rowsMax`; the
   * list is then empty.
   */
  merge(layer: LayerIndex, sources: readonly RowSource[], sourceCount: number): this {
    this.layer = layer;
    this.rowCount = 0;
    this.rowsPerExpert.fill(0);
    let rowCount = 0;
    for (let index = 0; index < sourceCount; index++) {
      const source = sources[index];
      if (source !== undefined) rowCount += this.#count(source);
    }
    if (rowCount > this.#options.rowsMax) this.#refuse(`${rowCount} rows for one expert worker`);
    this.#startRows();
    for (let index = 0; index < sourceCount; index++) {
      const source = sources[index];
      if (source !== undefined) this.#place(source);
    }
    this.rowCount = rowCount;
    return this;
  }

  #count(source: RowSource): number {
    const { expertCount, topK } = this.#options;
    const { expertIds, expertRanks, residents } = source;
    const end = source.tokens * topK;
    let rows = 0;
    for (let index = 0; index < end; index++) {
      const id = expertIds[index] ?? -2;
      if (id === -1) continue;
      if (id < 0 || id >= expertCount) {
        return this.#refuse(`expert id ${id} of token ${Math.floor(index / topK)}`);
      }
      if (expertRanks !== undefined && expertRanks[index] !== this.#rank) continue;
      if (residents[id] !== 1) {
        if (expertRanks === undefined) continue;
        return this.#refuse(`expert ${id}, which is not on expert rank ${this.#rank}`);
      }
      this.rowsPerExpert[id] = (this.rowsPerExpert[id] ?? 0) + 1;
      rows++;
    }
    return rows;
  }

  #startRows(): void {
    let row = 0;
    for (let id = 0; id < this.#nextRow.length; id++) {
      this.#nextRow[id] = row;
      row += this.rowsPerExpert[id] ?? 0;
    }
  }

  #place(source: RowSource): void {
    const { topK } = this.#options;
    const { expertIds, expertRanks, residents } = source;
    for (let token = 0; token < source.tokens; token++) {
      for (let k = 0; k < topK; k++) {
        const answerRow = token * topK + k;
        if (expertRanks !== undefined && expertRanks[answerRow] !== this.#rank) continue;
        const id = expertIds[answerRow] ?? -1;
        if (residents[id] !== 1) continue;
        // A row outside the lists is dropped by the typed arrays: foreign ids may change while we
        // read.
        const row = this.#nextRow[id] ?? 0;
        this.#nextRow[id] = row + 1;
        this.slotIndex[row] = source.slotIndex;
        this.hiddenRow[row] = token;
        this.answerRow[row] = answerRow;
      }
    }
  }

  #refuse(what: string): never {
    this.rowsPerExpert.fill(0);
    const { expertCount, rowsMax } = this.#options;
    throw new TransportError('ERR_FRAME_INVALID', {
      message:
        `A slot asks for ${what}; valid are expert ids below ${expertCount}, resident here, and at ` +
        `most ${rowsMax} rows. The attention worker wrote its routes wrongly, or runs another ` +
        'model.',
      details: { expertCount, rowsMax },
    });
  }
}
