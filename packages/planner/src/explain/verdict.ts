import { stageTimeUs } from '@megascale/scheduler';
import { costsOf } from '../evaluate/evaluate.js';
import { peakTeraflops } from '../cost/accelerator-costs.js';
import type { DisaggregatedDeployment } from '../deployment/deployment.js';
import type { Candidate } from '../search/plan-request.js';
import type { SearchContext } from '../search/search-context.js';
import type { SearchResult } from '../search/search-plans.js';

export interface Verdict {
  readonly answer: 'disaggregated' | 'colocated' | 'impossible';
  /** Score of the best disaggregated plan over that of the best colocated one. */
  readonly gain: number | undefined;
  /**
   * What decides: `network` where rows take longer to travel than to compute, `equal` where both
   * are about as good.
   */
  readonly cause:
    'gain' | 'only-way' | 'network' | 'latency' | 'idle-pool' | 'equal' | 'nothing-fits';
  readonly reason: string;
}

/** Whether to cut, and why. */
export function verdictOf(result: SearchResult, context: SearchContext): Verdict {
  const { disaggregated, colocated, chosen } = result;
  if (chosen === undefined) return impossible(context);
  if (colocated === undefined || disaggregated === undefined) return onlyOne(result);
  const gain = disaggregated.score / colocated.score;
  if (chosen === disaggregated) {
    return {
      answer: 'disaggregated',
      gain,
      cause: 'gain',
      reason: `Disaggregated, ${times(gain)} of the best colocated deployment: each pool is of the kind, and gets the batch, that its half needs.`,
    };
  }
  return { answer: 'colocated', gain, ...whyColocated(disaggregated, gain, context) };
}

function impossible({ stepUsMax }: SearchContext): Verdict {
  return {
    answer: 'impossible',
    gain: undefined,
    cause: 'nothing-fits',
    reason: `No deployment holds the weights and keeps ${(stepUsMax / 1000).toFixed(0)} ms from token to token. Allow more accelerators, other kinds, or a longer time.`,
  };
}

function onlyOne({ colocated }: SearchResult): Verdict {
  const together = colocated !== undefined;
  return {
    answer: together ? 'colocated' : 'disaggregated',
    gain: undefined,
    cause: 'only-way',
    reason: together
      ? 'Colocated: no pair of pools keeps the time from token to token, because each layer adds two transfers to it.'
      : 'Disaggregated: colocated, the weights leave too little memory for keys and values within the time from token to token.',
  };
}

/** Closer to colocated than what a model of datasheets can tell apart. */
const equalFrom = 0.9;

function whyColocated(
  { deployment, evaluation }: Candidate,
  gain: number,
  context: SearchContext,
): Pick<Verdict, 'cause' | 'reason'> {
  const less = `disaggregated reaches ${times(gain)} of it`;
  if (gain > equalFrom) {
    return {
      cause: 'equal',
      reason: `Colocated: ${less}, which is about the same, and one pool is simpler to run than two.`,
    };
  }
  const { times: stages } = evaluation;
  const { transferTimeUs, attentionTimeUs, expertTimeUs } = stages;
  const one = deployment.kind === 'disaggregated' ? rowTimes(deployment, context) : undefined;
  if (
    transferTimeUs > 0.9 * stageTimeUs(stages) ||
    (one !== undefined && one.travelUs > one.computeUs)
  ) {
    const { shape } = context;
    const perRow =
      one === undefined
        ? ''
        : ` A row takes ${(one.travelUs / one.computeUs).toFixed(1)} times as long to travel to an expert worker as an expert (h′ = ${shape.expertWidth}) takes to compute it.`;
    return {
      cause: 'network',
      reason: `Colocated: ${less}. The network bounds it: T_c is ${transferTimeUs.toFixed(0)} µs against T_f ${stageTimeUs(stages).toFixed(0)} µs, all ${shape.topK} rows of every token go through the links of one pool alone, and more expert accelerators add links and idle multipliers alike.${perRow}`,
    };
  }
  const [idle, busy] =
    attentionTimeUs < expertTimeUs ? ['attention', 'expert'] : ['expert', 'attention'];
  const waits =
    1 - Math.min(attentionTimeUs, expertTimeUs) / Math.max(attentionTimeUs, expertTimeUs);
  if (waits > 0.2) {
    return {
      cause: 'idle-pool',
      reason: `Colocated: ${less}. No whole number of workers balances the pools: the ${idle} pool waits ${(100 * waits).toFixed(0)} % of its time for the ${busy} pool.`,
    };
  }
  return {
    cause: 'latency',
    reason: `Colocated: ${less}. ${deployment.kind === 'disaggregated' ? deployment.microBatchCount : 1} micro-batches are needed to hide transfers, and each reads the weights again; together, each accelerator reads them once for all its tokens.`,
  };
}

/** One row at one expert worker, µs: over its link, and through its multipliers. */
function rowTimes(
  deployment: DisaggregatedDeployment,
  { shape, assumptions }: SearchContext,
): { readonly travelUs: number; readonly computeUs: number } {
  const { accelerator, tensorParallel } = deployment.expert;
  const bytes = Math.max(shape.message.dispatchBytesPerRow, shape.message.combineBytesPerRow);
  const peers = { attentionPeers: 0, expertPeers: 0 };
  const costs = costsOf(shape, deployment, assumptions);
  const latencyUs = costs.transferTimeUs({ attentionBytes: 0, expertBytes: 0, ...peers });
  const travelUs =
    costs.transferTimeUs({ attentionBytes: 0, expertBytes: bytes, ...peers }) - latencyUs;
  const flopsPerUs =
    peakTeraflops(accelerator, shape.computeDType) *
    1e6 *
    accelerator.computeShare *
    tensorParallel;
  return { travelUs, computeUs: shape.expert.flopsPerRow / flopsPerUs };
}

function times(gain: number): string {
  return `${gain.toFixed(2)} times the score`;
}
