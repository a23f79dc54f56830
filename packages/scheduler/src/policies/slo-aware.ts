import type { RunningView, SchedulerPolicy, StepCost, WaitingView } from '@megascale/core';
import { fcfs } from './fcfs.js';
import { virtualArrivalMs } from './service-order.js';

export interface SloOptions {
  /** For requests that name none. Default 1,000. */
  readonly ttftTargetMs?: number;
  /** For requests that name none. Default 100. */
  readonly tpotTargetMs?: number;
}

/**
 * Holds to the times that requests want. Prompts come by their deadline for the first token; of
 * their tokens, a step takes as many as leave every decoding sequence the time it wants from token
 * to token, by what a step is expected to cost (`view.stepCost`); at least a page's worth, so that
 * none waits for ever. A prompt that would miss its deadline at that pace gets the whole step.
 * While nothing is known of costs it is `fcfs`.
 */
export function sloAware({
  ttftTargetMs = 1_000,
  tpotTargetMs = 100,
}: SloOptions = {}): SchedulerPolicy {
  const deadline = (view: WaitingView): number =>
    virtualArrivalMs(view) + (view.ttftTargetMs ?? ttftTargetMs);
  return {
    specVersion: 1,
    name: 'slo-aware',
    plan(view) {
      const { stepCost } = view;
      const waiting = [...view.waiting].sort((a, b) => deadline(a) - deadline(b));
      // Preempted sequences go on before newcomers: their clients have read a part of the answer.
      const ordered = [
        ...waiting.filter(({ preemptions }) => preemptions > 0),
        ...waiting.filter(({ preemptions }) => preemptions === 0),
      ].map((each) => ({ ...each, priority: 0, tenant: undefined }));
      const given = { ...view, waiting: ordered };
      if (stepCost === undefined) return fcfs.plan(given);
      const decoding = view.running.filter(({ tokensLeft }) => tokensLeft === 1);
      const target = Math.min(...decoding.map((each) => each.tpotTargetMs ?? tpotTargetMs));
      const paced = Math.max(view.kvPageSize, affordable(stepCost, decoding, target));
      const late = ordered.some(
        (each) => view.nowMs + prefillMs(stepCost, each, paced, decoding) > deadline(each),
      );
      const prefill = late ? view.maxNumBatchedTokens : paced;
      return fcfs.plan({
        ...given,
        maxNumBatchedTokens: Math.min(view.maxNumBatchedTokens, decoding.length + prefill),
      });
    },
  };
}

/**
 * Prompt tokens that fit beside these decoding sequences in a step of `targetMs`. Infinite where
 * no sequence decodes.
 */
function affordable(cost: StepCost, decoding: readonly RunningView[], targetMs: number): number {
  if (decoding.length === 0) return Infinity;
  const left = targetMs * 1000 - stepUs(cost, decoding);
  return cost.tokenUs > 0 ? Math.floor(left / cost.tokenUs) : left > 0 ? Infinity : 0;
}

function stepUs(
  { fixedUs, tokenUs, contextTokenUs }: StepCost,
  decoding: readonly RunningView[],
): number {
  const keys = decoding.reduce((sum, { contextTokens }) => sum + contextTokens + 1, 0);
  return fixedUs + tokenUs * decoding.length + contextTokenUs * keys;
}

/** Until its first token, if every step takes `paced` of its tokens. */
function prefillMs(
  cost: StepCost,
  { tokensLeft }: WaitingView,
  paced: number,
  decoding: readonly RunningView[],
): number {
  const steps = Math.ceil(tokensLeft / paced);
  return (steps * stepUs(cost, decoding) + tokensLeft * cost.tokenUs) / 1000;
}
