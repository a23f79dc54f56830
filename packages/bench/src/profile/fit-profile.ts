import {
  fitAttention,
  fitEdge,
  fitEffectiveExperts,
  fitExperts,
  fitNonNegative,
  type HandoverProfile,
  type PoolProfile,
} from '@megascale/planner';
import type { MeasuredRun } from './measured-deployment.js';
import { paceOf, type ProbeReading } from './pace-probe.js';
import type { ProbedRun } from './predict/probed-runs.js';

/** The pools and handovers of a profile, and what routes did. */
export interface FittedProfile {
  readonly pools: readonly PoolProfile[];
  readonly handovers: readonly HandoverProfile[];
  readonly effectiveExperts: number;
}

interface PacedRun extends ProbedRun {
  readonly pace: number;
}

/** What the runs took, at the pace of the reference reading. */
export function fitProfile(
  runs: readonly ProbedRun[],
  reference: ProbeReading,
  model: { readonly expertCount: number; readonly topK: number },
): FittedProfile {
  const paced = runs.map((run) => ({ ...run, pace: paceOf(run.around, reference) }));
  const colocated = paced.filter(({ deployment }) => deployment.colocated);
  const cut = paced.filter(({ deployment }) => !deployment.colocated);
  return {
    pools: groupBy(colocated, ({ deployment }) => String(deployment.attentionWorkers)).map((runs) =>
      poolOf(runs, cut),
    ),
    handovers: groupBy(
      cut,
      ({ deployment }) => `${deployment.attentionWorkers} × ${deployment.expertWorkers}`,
    ).map(handoverOf),
    effectiveExperts: effectiveExpertsOf(colocated, model),
  };
}

/** Attention halves of cut deployments count too: there alone does a micro-batch follow another. */
function poolOf(runs: readonly PacedRun[], cut: readonly PacedRun[]): PoolProfile {
  const deployment = runs[0]?.deployment;
  const alike = cut.filter(
    (each) =>
      each.deployment.attentionWorkers === deployment?.attentionWorkers &&
      each.deployment.attentionThreads === deployment.attentionThreads,
  );
  return {
    threads: deployment?.attentionThreads ?? 1,
    workersAtOnce: deployment?.attentionWorkers ?? 1,
    attention: fitAttention(paced([...runs, ...alike], (run) => run.attention)),
    expert: fitExperts(paced(runs, (run) => run.expert)),
    edge: fitEdge(paced(runs, (run) => run.edge)),
    ...overheadOf(runs),
  };
}

function overheadOf(
  runs: readonly PacedRun[],
): Pick<PoolProfile, 'stepOverheadUs' | 'stepTokenUs'> {
  const samples = runs.map(({ run, shape, deployment, pace }) => ({
    features: [1, shape.batch / deployment.attentionWorkers],
    us: Math.max(leastUs, run.stepOverheadUs / pace),
  }));
  const [stepOverheadUs = 0, stepTokenUs = 0] = fitNonNegative(samples);
  return { stepOverheadUs, stepTokenUs };
}

function paced<Sample extends { readonly us: number }>(
  runs: readonly PacedRun[],
  samplesOf: (run: MeasuredRun) => readonly Sample[],
): Sample[] {
  return runs.flatMap(({ run, pace }) =>
    samplesOf(run).map((sample) => ({ ...sample, us: sample.us / pace })),
  );
}

/** Nothing that was measured takes no time at all. */
const leastUs = 1e-3;

function handoverOf(runs: readonly PacedRun[]): HandoverProfile {
  const samples = runs.map(({ deployment, shape, run, pace }) => ({
    features: [1, Math.min(deployment.microBatches, shape.batch), shape.batch],
    us: Math.max(leastUs, run.handoverUs / pace),
  }));
  const [layerUs = 0, microBatchUs = 0, tokenUs = 0] = fitNonNegative(samples);
  const { attentionWorkers = 1, expertWorkers = 1 } = runs[0]?.deployment ?? {};
  return { attentionWorkers, expertWorkers, layerUs, microBatchUs, tokenUs };
}

function effectiveExpertsOf(
  runs: readonly PacedRun[],
  model: { readonly expertCount: number; readonly topK: number },
): number {
  const seen = runs
    .filter(({ run, shape, deployment }) => {
      return run.expert.length > 0 && shape.batch > deployment.attentionWorkers;
    })
    .map(({ run, shape, deployment }) => ({
      tokens: shape.batch / deployment.attentionWorkers,
      distinctExperts:
        run.expert.reduce((sum, { distinctExperts }) => sum + distinctExperts, 0) /
        run.expert.length,
    }));
  return seen.length === 0 ? model.expertCount : fitEffectiveExperts(seen, model);
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Item[][] {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return [...groups.values()];
}
