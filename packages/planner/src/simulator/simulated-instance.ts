import { ConfigError, type GatherPolicy } from '@megascale/core';
import { z } from 'zod';
import type { StepCosts } from '../cost/step-costs.js';

/** When an expert worker starts on what has arrived; as `TransportOptions.gather`. */
export type SimulatedGather = GatherPolicy;

/** One instance: M attention and N expert workers of one model. */
export interface SimulatedInstance {
  /** What halves, links and edges take: the same functions that the plan search asks. */
  readonly costs: StepCosts;
  /** Routed layers (L). */
  readonly layers: number;
  /** Experts of one layer (E). */
  readonly expertCount: number;
  /** Experts that a token goes to (K). */
  readonly topK: number;
  /** Of one row on its way to an expert, and back. */
  readonly dispatchRowBytes: number;
  readonly answerRowBytes: number;
  /** M */
  readonly attentionWorkers: number;
  /** N; 0: colocated, every attention worker has all experts and there is no link. */
  readonly expertWorkers: number;
  /** m */
  readonly microBatches: number;
  /** Default lockstep. */
  readonly gather?: SimulatedGather;
  /**
   * A step starts while the one before still samples (`followSteps`). Default true; colocated
   * workers never do.
   */
  readonly overlapSteps?: boolean;
  /** Expert workers that hold each expert; default 1. */
  readonly expertReplicas?: number;
  /** [N] which part of all rows goes to each expert worker; adds up to 1. Default: equal parts. */
  readonly expertShares?: readonly number[];
}

/** The limits of one instance: beyond them a simulation would not end in useful time. */
export const instanceLimits = {
  layers: 1024,
  expertCount: 65_536,
  workers: 1024,
  microBatches: 64,
} as const;

const count = (max: number) => z.int().min(1).max(max);
const bytes = z.number().min(0).max(1e12);
const checked = z.object({
  layers: count(instanceLimits.layers),
  expertCount: count(instanceLimits.expertCount),
  topK: count(instanceLimits.expertCount),
  dispatchRowBytes: bytes,
  answerRowBytes: bytes,
  attentionWorkers: count(instanceLimits.workers),
  expertWorkers: z.int().min(0).max(instanceLimits.workers),
  microBatches: count(instanceLimits.microBatches),
  expertReplicas: count(instanceLimits.workers).optional(),
  expertShares: z.array(z.number().min(0).max(1)).optional(),
});

/** @throws ConfigError 'ERR_CONFIG_FIELD' naming the field. */
export function checkInstance(instance: SimulatedInstance): void {
  const { expertShares, topK, expertCount, expertWorkers } = instance;
  const issue = checked.safeParse(instance).error?.issues[0];
  if (issue !== undefined) refuse(issue.path.join('.'), issue.message);
  if (topK > expertCount) refuse('topK', `${topK} of ${expertCount} experts`);
  if (expertShares === undefined) return;
  const sum = expertShares.reduce((total, share) => total + share, 0);
  if (expertShares.length !== expertWorkers) {
    refuse('expertShares', `${expertShares.length} shares for ${expertWorkers} expert workers`);
  }
  if (Math.abs(sum - 1) > 1e-6) refuse('expertShares', `they add up to ${sum}, not to 1`);
}

function refuse(field: string, finding: string): never {
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Simulated instance, ${field}: ${finding}. Give an instance that can be built.`,
    details: { path: field },
  });
}

/** Expert workers that are alike, simulated as one: their answers are waited for together. */
export interface ExpertGroup {
  /** The first of its ranks. */
  readonly rank: number;
  readonly workers: number;
  /** Of all rows, the part of each of its workers. */
  readonly share: number;
}

/** Expert workers by equal shares that stand side by side; `apart` keeps each on its own. */
export function expertGroups(instance: SimulatedInstance, apart = false): ExpertGroup[] {
  const { expertWorkers, expertShares } = instance;
  const groups: { rank: number; workers: number; share: number }[] = [];
  for (let rank = 0; rank < expertWorkers; rank += 1) {
    const share = expertShares?.[rank] ?? 1 / expertWorkers;
    const last = groups.at(-1);
    if (last?.share === share && !apart) last.workers += 1;
    else groups.push({ rank, workers: 1, share });
  }
  return groups;
}

/**
 * Rows that one expert worker gets of so many tokens, and how many of its experts they are expected
 * to need.
 */
export function expertLoad(
  { topK, expertCount, expertWorkers, expertReplicas = 1 }: SimulatedInstance,
  share: number,
  tokens: number,
): { rows: number; distinctExperts: number } {
  const local = (expertCount * expertReplicas) / Math.max(1, expertWorkers);
  // Every token chooses K different experts; one of this worker's is among them with this
  // probability.
  const chosen = Math.min(1, (topK * share) / local);
  return {
    rows: tokens * topK * share,
    distinctExperts: local * (1 - (1 - chosen) ** tokens),
  };
}
