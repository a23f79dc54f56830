import type { AttentionRank } from '@megascale/core';

/** What admission knows of one attention worker. */
export interface AttentionWorkerLoad {
  readonly rank: AttentionRank;
  /** Tokens it would still compute if every sequence it has ran to its maxTokens. */
  readonly outstandingTokens: number;
}

/**
 * The attention worker that takes a new sequence: fewest outstanding tokens, then lowest rank. Undefined when there is none.
 */
export function chooseAttentionWorker(
  loads: readonly AttentionWorkerLoad[],
): AttentionRank | undefined {
  let best: AttentionWorkerLoad | undefined;
  for (const load of loads) {
    if (best === undefined || compareLoads(load, best) < 0) best = load;
  }
  return best?.rank;
}

function compareLoads(a: AttentionWorkerLoad, b: AttentionWorkerLoad): number {
  return a.outstandingTokens - b.outstandingTokens || a.rank - b.rank;
}
