import type { AttentionRank, StepCost } from '@megascale/core';
import { keysSeenBy } from '../cost/step-cost-learner.js';

/** What admission knows of one attention worker. */
export interface AttentionWorkerLoad {
  readonly rank: AttentionRank;
  /** Tokens it would still compute if every sequence it has ran to its maxTokens. */
  readonly outstandingTokens: number;
  /** The keys that those tokens would see together (`keysSeenBy`). Default 0. */
  readonly outstandingKeys?: number;
  /** What its attention halves were measured to take; absent until enough was. */
  readonly cost?: StepCost | undefined;
  /** First tokens of the newcomer's prompt that it probably holds in pages. Default 0. */
  readonly sharedTokens?: number;
}

/** A sequence that is to be placed. */
export interface Newcomer {
  readonly promptTokens: number;
  readonly maxTokens: number;
}

/** The part of a half-layer's time that depends on nothing is spread over so many tokens. */
const typicalTokens = 8;

/**
 * The attention worker that would be done soonest with all it has and the newcomer, by predicted
 * attention time; then fewest outstanding tokens, then lowest rank. Undefined when there is none.
 *
 * All workers compute the same model, so the shape of the cost (time per token, time per key) is
 * learnt from all of them, and each has a speed of its own. Before anything was measured, a token
 * takes as long as another and keys take nothing.
 */
export function chooseAttentionWorker(
  loads: readonly AttentionWorkerLoad[],
  newcomer: Newcomer = { promptTokens: 0, maxTokens: 0 },
): AttentionRank | undefined {
  const times = predictAttentionTimes(loads, newcomer);
  let best: { readonly load: AttentionWorkerLoad; readonly us: number } | undefined;
  for (const [index, load] of loads.entries()) {
    const us = times[index] ?? 0;
    if (best === undefined || compare({ load, us }, best) < 0) best = { load, us };
  }
  return best?.load.rank;
}

/**
 * [loads] what each worker's attention would take for all it has and the newcomer; in tokens while
 * nothing was measured.
 */
export function predictAttentionTimes(
  loads: readonly AttentionWorkerLoad[],
  { promptTokens, maxTokens }: Newcomer,
): number[] {
  const shape = sharedShape(loads);
  return loads.map(({ outstandingTokens, outstandingKeys = 0, sharedTokens = 0, cost }) => {
    const shared = Math.min(sharedTokens, promptTokens);
    const own = promptTokens + maxTokens - shared;
    const tokens = outstandingTokens + own;
    const keys = outstandingKeys + keysSeenBy(shared, own);
    return shape.slownessOf(cost) * (shape.tokenUs * tokens + shape.keyUs * keys);
  });
}

interface SharedShape {
  readonly tokenUs: number;
  readonly keyUs: number;
  /** 1 for a worker as quick as the mean of those that were measured. */
  slownessOf(cost: StepCost | undefined): number;
}

function sharedShape(loads: readonly AttentionWorkerLoad[]): SharedShape {
  const costs = loads.flatMap(({ cost }) => cost ?? []);
  const mean = (pick: (cost: StepCost) => number): number =>
    costs.reduce((sum, cost) => sum + pick(cost), 0) / costs.length;
  const tokenUs = mean((cost) => cost.tokenUs + cost.fixedUs / typicalTokens);
  const keyUs = mean((cost) => cost.contextTokenUs);
  if (!(tokenUs + keyUs > 0)) return { tokenUs: 1, keyUs: 0, slownessOf: () => 1 };
  const sum = (pick: (load: AttentionWorkerLoad) => number): number =>
    loads.reduce((total, load) => total + pick(load), 0);
  const tokens = sum(({ outstandingTokens }) => outstandingTokens);
  const keys = sum(({ outstandingKeys = 0 }) => outstandingKeys);
  const keysPerToken = tokens > 0 ? keys / tokens : 1;
  const timeOf = ({ tokenUs: perToken, fixedUs, contextTokenUs }: StepCost): number =>
    perToken + fixedUs / typicalTokens + contextTokenUs * keysPerToken;
  const meanUs = mean(timeOf);
  return {
    tokenUs,
    keyUs,
    slownessOf: (cost) => (cost === undefined || !(meanUs > 0) ? 1 : timeOf(cost) / meanUs),
  };
}

interface Candidate {
  readonly load: AttentionWorkerLoad;
  readonly us: number;
}

function compare(a: Candidate, b: Candidate): number {
  return (
    a.us - b.us || a.load.outstandingTokens - b.load.outstandingTokens || a.load.rank - b.load.rank
  );
}
