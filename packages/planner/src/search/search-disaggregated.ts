import { createAcceleratorCosts } from '../cost/accelerator-costs.js';
import type { StepCosts } from '../cost/step-costs.js';
import type { DisaggregatedDeployment } from '../deployment/deployment.js';
import {
  disaggregatedStepUs,
  evaluateDisaggregated,
  sharesScaleUp,
} from '../evaluate/disaggregated.js';
import { keysSeenWith } from '../model/model-shape.js';
import { uniformBatch } from './with-largest-batch.js';
import { largestBatch } from './largest-batch.js';
import { scoreOf, type Candidate } from './plan-request.js';
import type { AttentionOption, ExpertOption } from './pool-options.js';
import type { SearchContext } from './search-context.js';

/**
 * Algorithm 1 for one pair of accelerators, extended: tp_a, tp_e, experts per expert worker,
 * replicas, m, and for each the n_a with the best score, found numerically where T_a and T_e
 * balance under the SLO, the memory and the link. Combinations whose bound is below what was found
 * are left out. Undefined where nothing fits, or nothing can score more than `scoreMin`.
 */
export function searchDisaggregated(
  attention: readonly AttentionOption[],
  expert: readonly ExpertOption[],
  context: SearchContext,
  scoreMin = 0,
): Candidate | undefined {
  let best: Scored | undefined;
  for (const { frame, bound } of boundedFrames(attention, expert, context)) {
    if (bound <= (best?.score ?? scoreMin)) break;
    const found = bestWorkers(frame, context);
    if (found !== undefined && found.score > (best?.score ?? 0)) best = found;
  }
  return best === undefined ? undefined : candidateOf(best, context);
}

/** A disaggregated deployment but for n_a. */
interface Frame {
  readonly attention: AttentionOption;
  readonly expert: ExpertOption;
  readonly microBatchCount: number;
}

interface Scored {
  readonly frame: Frame;
  readonly deployment: DisaggregatedDeployment;
  readonly costs: StepCosts;
  readonly score: number;
}

/** Above what this pair can score; 0 where nothing fits. */
export function pairBound(
  attention: readonly AttentionOption[],
  expert: readonly ExpertOption[],
  context: SearchContext,
): number {
  return boundedFrames(attention, expert, context)[0]?.bound ?? 0;
}

/**
 * Highest bound first: each pool at its largest micro-batch and, with m ≥ 2, always busy. With m =
 * 1 one waits for the other: of a/T_a + e/T_e units for T_a + T_e µs there are at least (√a + √e)².
 */
function boundedFrames(
  attention: readonly AttentionOption[],
  expert: readonly ExpertOption[],
  { shape, limits }: SearchContext,
): readonly { readonly frame: Frame; readonly bound: number }[] {
  const frames: { readonly frame: Frame; readonly bound: number }[] = [];
  for (const microBatchCount of limits.microBatchCounts) {
    for (const one of attention) {
      for (const other of expert) {
        const link = linkOf(one, other);
        const attentionUs = one.leastUnitUs[link].get(microBatchCount) ?? Infinity;
        const expertUs = other.leastUnitUs[link].get(microBatchCount) ?? Infinity;
        const waiting = microBatchCount === 1 ? 2 * Math.sqrt(attentionUs * expertUs) : 0;
        const bound = 1e6 / (shape.layerCount * (attentionUs + expertUs + waiting));
        if (!(bound > 0)) continue;
        frames.push({ frame: { attention: one, expert: other, microBatchCount }, bound });
      }
    }
  }
  return frames.sort((a, b) => b.bound - a.bound);
}

/**
 * From the n_a at which both pools would pass equally many tokens, uphill in strides that halve.
 */
function bestWorkers(frame: Frame, context: SearchContext): Scored | undefined {
  const { limits } = context;
  const { attention, expert } = frame;
  const expertAccelerators = expert.hardware.tensorParallel * expert.split.workers;
  const most = Math.min(
    limits.attentionWorkersMax,
    Math.floor((limits.acceleratorsMax - expertAccelerators) / attention.hardware.tensorParallel),
  );
  if (most < 1) return undefined;
  const costs = linkCosts(frame, context);
  const tried = new Map<number, Scored | undefined>();
  const score = (workers: number): number => {
    if (!tried.has(workers)) tried.set(workers, scoreWith(frame, workers, costs, context));
    return tried.get(workers)?.score ?? 0;
  };
  let peak = Math.min(most, balancedWorkers(frame));
  for (let stride = 2 ** Math.floor(Math.log2(Math.max(1, peak / 2))); stride >= 1; stride /= 2) {
    const near = [peak - stride, peak + stride].filter((count) => count >= 1 && count <= most);
    peak = near.reduce((best, count) => (score(count) > score(best) ? count : best), peak);
  }
  score(peak);
  return tried.get(peak);
}

/** The faster link that some n_a allows. */
function linkOf(attention: AttentionOption, expert: ExpertOption): 'network' | 'scale-up' {
  const least =
    attention.hardware.tensorParallel + expert.hardware.tensorParallel * expert.split.workers;
  const { accelerator } = attention.hardware;
  const together =
    accelerator.name === expert.hardware.accelerator.name && least <= accelerator.scaleUp.domain;
  return together ? 'scale-up' : 'network';
}

/** Units of one worker over units × µs of one token is tokens per µs. */
function balancedWorkers({ attention, expert, microBatchCount }: Frame): number {
  const link = linkOf(attention, expert);
  const attentionUs = (attention.leastUnitUs[link].get(microBatchCount) ?? 1) / attention.unit;
  const expertUs = (expert.leastUnitUs[link].get(microBatchCount) ?? 1) / expert.unit;
  return Math.max(1, Math.round(attentionUs / expertUs));
}

type LinkCosts = Readonly<Record<'network' | 'scale-up', StepCosts>>;

function linkCosts({ attention, expert }: Frame, context: SearchContext): LinkCosts {
  const { shape, assumptions } = context;
  const pools = { shape, attention: attention.hardware, expert: expert.hardware, assumptions };
  return {
    network: createAcceleratorCosts({ ...pools, link: 'network' }),
    'scale-up': createAcceleratorCosts({ ...pools, link: 'scale-up' }),
  };
}

/** Batches that differ by less than this share are as good while looking for n_a. */
const tolerance = 1 / 256;

function scoreWith(
  frame: Frame,
  workers: number,
  byLink: LinkCosts,
  context: SearchContext,
): Scored | undefined {
  const { attention, expert, microBatchCount } = frame;
  const deployment: DisaggregatedDeployment = {
    kind: 'disaggregated',
    attention: { ...attention.hardware, workers },
    expert: { ...expert.hardware, ...expert.split },
    microBatchCount,
  };
  const costs = byLink[sharesScaleUp(deployment) ? 'scale-up' : 'network'];
  const found = batchOf({ frame, deployment, costs }, context, tolerance);
  if (found === undefined) return undefined;
  const units = workers * attention.unit + expert.unit;
  return { frame, deployment, costs, score: ((found.batch / found.stepUs) * 1e6) / units };
}

function batchOf(
  { frame, deployment, costs }: Omit<Scored, 'score'>,
  { shape, contextTokens, stepUsMax, assumptions }: SearchContext,
  slack: number,
): { readonly batch: number; readonly fillsMemory: boolean; readonly stepUs: number } | undefined {
  const { workers } = deployment.attention;
  const perSequence = keysSeenWith(shape, contextTokens) * shape.kvBytesPerToken;
  const batchMax = Math.floor((workers * frame.attention.kvRoomBytes) / perSequence);
  const stepUs = (batch: number): number =>
    disaggregatedStepUs(shape, deployment, { batch, contextTokens }, assumptions, costs);
  const unit = uniformBatch(deployment);
  const batch = largestBatch(stepUs, { unit, batchMax, stepUsMax, tolerance: slack });
  if (batch === 0) return undefined;
  return { batch, fillsMemory: batch + unit > batchMax, stepUs: stepUs(batch) };
}

/** With the exact batch. */
function candidateOf(best: Scored, context: SearchContext): Candidate | undefined {
  const { shape, contextTokens, assumptions, objective } = context;
  const exact = batchOf(best, context, 0);
  if (exact === undefined) return undefined;
  const { batch, fillsMemory } = exact;
  const evaluation = evaluateDisaggregated(
    shape,
    best.deployment,
    { batch, contextTokens },
    assumptions,
    best.costs,
  );
  return {
    deployment: best.deployment,
    evaluation,
    batchBound: fillsMemory ? 'memory' : 'slo',
    score: scoreOf(evaluation, objective),
  };
}
