import type { MicroBatch, ResolvedSampling, Sampler, SequenceId } from '@megascale/core';
import { positionOfLogits, type LogitsRow } from '@megascale/scheduler';

/** How one sequence's tokens are chosen. */
export interface ChoiceOptions {
  readonly sampling: ResolvedSampling;
  /** How many alternatives get a log-probability. Absent: no log-probabilities. */
  readonly logprobs?: number;
}

export interface ChoiceDetails {
  readonly logprob?: number;
  readonly top?: { readonly id: number; readonly logprob: number }[];
}

const noDetails: ChoiceDetails = {};

/**
 * Chooses the next token of every row of a micro-batch's logits, each by its own sequence's
 * options.
 */
export class TokenChooser {
  readonly #sampler: Sampler;
  readonly #vocabSize: number;
  readonly #options = new Map<SequenceId, ChoiceOptions>();
  #chosen: number[] = [];
  #details: ChoiceDetails[] = [];

  constructor(sampler: Sampler, vocabSize: number) {
    this.#sampler = sampler;
    this.#vocabSize = vocabSize;
  }

  register(sequence: SequenceId, options: ChoiceOptions): void {
    this.#options.set(sequence, options);
  }

  forget(sequence: SequenceId): void {
    this.#options.delete(sequence);
  }

  /** [logitsRows] token of each row of the newest micro-batch. */
  get chosen(): readonly number[] {
    return this.#chosen;
  }

  /** Forgets the choices: the next micro-batch may have no logits. */
  chooseNone(): void {
    this.#chosen = [];
    this.#details = [];
  }

  /**
   * Chooses a token for each of the `rows` of `batch`; `logits`: [rows, vocabSize]. The row of a
   * sequence that was cancelled during the step is skipped: it has no options any more.
   */
  choose(batch: MicroBatch, rows: readonly LogitsRow[], logits: Float32Array): void {
    this.chooseNone();
    const chosen = this.#chosen;
    const details = this.#details;
    for (const [index, row] of rows.entries()) {
      const options = row.type === 'sample' ? this.#options.get(row.history.request.id) : undefined;
      if (options === undefined) {
        chosen[index] = 0;
        continue;
      }
      const start = index * this.#vocabSize;
      const { tokenId, logprob, top } = this.#sampler.choose(
        logits.subarray(start, start + this.#vocabSize),
        options.sampling,
        positionOfLogits(batch, index) + 1,
        options.logprobs,
      );
      chosen[index] = tokenId;
      if (logprob === undefined) continue;
      details[index] = {
        logprob,
        top: (top ?? []).map(({ tokenId: id, logprob: value }) => ({ id, logprob: value })),
      };
    }
  }

  /** Returns the log-probabilities of a row of the newest micro-batch. */
  detailsOf(row: number): ChoiceDetails {
    return this.#details[row] ?? noDetails;
  }
}
