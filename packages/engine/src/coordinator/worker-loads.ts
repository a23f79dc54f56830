import { attentionRank, type AttentionRank, type StepCost } from '@megascale/core';
import {
  chooseAttentionWorker,
  keysSeenBy,
  PrefixHints,
  type AttentionWorkerLoad,
} from '@megascale/scheduler';
import type { EngineConfig } from '../config/engine-config.js';

/** A sequence's share of its worker's load. */
export interface PlacedSequence {
  readonly rank: AttentionRank;
  readonly promptTokens: number;
  readonly maxTokens: number;
  /** The first tokens of the prompt that its worker probably held already. */
  readonly sharedTokens: number;
  outputTokens: number;
}

type Config = Pick<
  EngineConfig,
  'attentionWorkers' | 'kvPageSize' | 'kvPages' | 'prefixSharing' | 'placeBy'
>;

interface Load {
  tokens: number;
  keys: number;
  cost: StepCost | undefined;
}

/** Keeps what every attention worker has still to compute, and places new sequences by it. */
export class WorkerLoads {
  readonly #loads: readonly Load[];
  readonly #hints: PrefixHints | undefined;
  readonly #byTime: boolean;

  constructor({ attentionWorkers, kvPageSize, kvPages, prefixSharing, placeBy }: Config) {
    this.#loads = Array.from({ length: attentionWorkers }, () => ({
      tokens: 0,
      keys: 0,
      cost: undefined,
    }));
    this.#byTime = placeBy === 'time';
    if (!prefixSharing || attentionWorkers === 1 || !this.#byTime) return;
    this.#hints = new PrefixHints({
      workers: attentionWorkers,
      pageSize: kvPageSize,
      pagesMax: kvPages,
    });
  }

  place(prompt: readonly number[], maxTokens: number): PlacedSequence {
    const shared = this.#hints?.sharedTokens(prompt);
    const loads = this.#loads.map(({ tokens, keys, cost }, rank): AttentionWorkerLoad => ({
      rank: attentionRank(rank),
      outstandingTokens: tokens,
      ...(this.#byTime ? { outstandingKeys: keys, cost, sharedTokens: shared?.[rank] ?? 0 } : {}),
    }));
    const added = { promptTokens: prompt.length, maxTokens };
    const rank = chooseAttentionWorker(loads, added) ?? attentionRank(0);
    this.#hints?.note(rank, prompt);
    const sharedTokens = shared?.[rank] ?? 0;
    const sequence = { rank, ...added, sharedTokens, outputTokens: 0 };
    this.#count(sequence, 1);
    return sequence;
  }

  noteToken(sequence: PlacedSequence): void {
    this.#count(sequence, -1);
    sequence.outputTokens += 1;
    this.#count(sequence, 1);
  }

  remove(sequence: PlacedSequence): void {
    this.#count(sequence, -1);
  }

  /** Keeps what the attention stage of a worker takes, as the worker has measured it. */
  noteCost(rank: number, cost: StepCost | undefined): void {
    const load = this.#loads[rank];
    if (load !== undefined && cost !== undefined) load.cost = cost;
  }

  #count(sequence: PlacedSequence, sign: 1 | -1): void {
    const load = this.#loads[sequence.rank];
    if (load === undefined) return;
    const { promptTokens, maxTokens, sharedTokens, outputTokens } = sequence;
    const computed = outputTokens === 0 ? sharedTokens : promptTokens + outputTokens - 1;
    const left = promptTokens + maxTokens - computed - 1;
    if (left <= 0) return;
    load.tokens += sign * left;
    load.keys += sign * keysSeenBy(computed, left);
  }
}
