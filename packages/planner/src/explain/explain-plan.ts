import { hidesTransfers, microBatchesToHide, stageTimeUs } from '@megascale/scheduler';
import type { DisaggregatedDeployment } from '../deployment/deployment.js';
import { costsOf } from '../evaluate/evaluate.js';
import { sharesScaleUp } from '../evaluate/disaggregated.js';
import type { Candidate } from '../search/plan-request.js';
import type { SearchContext } from '../search/search-context.js';
import type { SearchResult } from '../search/search-plans.js';
import { linearForms, type LinearForms } from './linear-forms.js';
import { nextSteps, type NextStep } from './next-accelerator.js';
import { attentionRoofline, expertRoofline, type Roofline } from './roofline.js';
import { verdictOf, type Verdict } from './verdict.js';

/** Why the plan is as it is. */
export interface PlanExplanation {
  readonly verdict: Verdict;
  /** What keeps the batch from growing, and what bounds a step. */
  readonly bounds: readonly string[];
  /** Of the disaggregated plan, chosen or not. */
  readonly halves:
    | {
        readonly attention: Roofline;
        readonly expert: Roofline;
        readonly linearForms: LinearForms;
        readonly hidesTransfers: boolean;
        readonly microBatchesToHide: number | undefined;
      }
    | undefined;
  readonly next: readonly NextStep[];
}

export function explainPlan(result: SearchResult, context: SearchContext): PlanExplanation {
  const { chosen, disaggregated } = result;
  return {
    verdict: verdictOf(result, context),
    bounds: chosen === undefined ? [] : boundsOf(chosen),
    halves:
      disaggregated?.deployment.kind === 'disaggregated'
        ? halvesOf(disaggregated, disaggregated.deployment, context)
        : undefined,
    next: chosen === undefined ? [] : nextSteps(chosen, context),
  };
}

function boundsOf({ batchBound, evaluation }: Candidate): readonly string[] {
  const { times, batch, stepUs } = evaluation;
  const full = evaluation.memory.map(({ pool, weightBytes, kvBytes, usableBytes }) => {
    const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);
    return `${pool}: ${gigabytes(weightBytes)} GB of weights and ${gigabytes(kvBytes)} GB of keys and values in ${gigabytes(usableBytes)} GB`;
  });
  const batchText =
    batchBound === 'memory'
      ? `Memory bounds the batch at ${batch} sequences (${full.join('; ')}); the SLO would allow more.`
      : `The SLO bounds the batch at ${batch} sequences, ${(stepUs / 1000).toFixed(1)} ms from token to token; there is memory for more.`;
  const { attentionTimeUs, expertTimeUs, transferTimeUs } = times;
  const parts = [
    ['attention', attentionTimeUs],
    ['experts', expertTimeUs],
    ['transfers', transferTimeUs],
  ] as const;
  const slowest = parts.reduce((most, part) => (part[1] > most[1] ? part : most));
  return [
    batchText,
    `Of a layer, ${slowest[0]} take longest: T_a ${us(attentionTimeUs)}, T_e ${us(expertTimeUs)}, T_c ${us(transferTimeUs)}.`,
  ];
}

function halvesOf(
  { evaluation }: Candidate,
  deployment: DisaggregatedDeployment,
  { shape, assumptions, contextTokens }: SearchContext,
): PlanExplanation['halves'] {
  const { work, times } = evaluation;
  const { accelerator, tensorParallel } = deployment.expert;
  const link = sharesScaleUp(deployment) ? accelerator.scaleUp : accelerator.network;
  const stage = stageTimeUs(times);
  return {
    attention: attentionRoofline(shape, deployment, work, { contextTokens, assumptions }),
    // Shares of one accelerator: its part of the rows, its part of the link.
    expert: expertRoofline(
      shape,
      deployment,
      { ...work, bytesPerExpertWorker: work.bytesPerExpertWorker / tensorParallel },
      { linkGigabytesPerSecond: link.gigabytesPerSecond * tensorParallel, assumptions },
    ),
    linearForms: linearForms(shape, deployment, costsOf(shape, deployment, assumptions), {
      attentionTokens: work.tokensPerAttentionWorker,
      expertRows: work.rowsPerExpertWorker / deployment.expert.expertsPerWorker,
      contextTokens,
    }),
    hidesTransfers: stage > 0 && hidesTransfers(times, deployment.microBatchCount),
    microBatchesToHide: microBatchesToHide(times),
  };
}

function us(time: number): string {
  return `${time.toFixed(0)} µs`;
}
