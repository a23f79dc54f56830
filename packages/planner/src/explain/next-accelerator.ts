import type { Deployment, DisaggregatedDeployment } from '../deployment/deployment.js';
import type { Candidate } from '../search/plan-request.js';
import { withLargestBatch } from '../search/with-largest-batch.js';
import type { SearchContext } from '../search/search-context.js';

/**
 * What the plan would do with one worker more of a pool (or the next even share of the experts).
 */
export interface NextStep {
  readonly pool: 'attention' | 'expert' | 'all';
  readonly change: string;
  readonly tokensPerSecond: number;
  /** Relative to the plan: 0.1 is ten percent more. */
  readonly throughputGain: number;
  readonly scoreGain: number;
}

export function nextSteps(
  { deployment, evaluation, score }: Candidate,
  context: SearchContext,
): readonly NextStep[] {
  return grown(deployment, context).flatMap(({ pool, change, larger }): readonly NextStep[] => {
    const better = withLargestBatch(larger, context);
    if (better === undefined) return [];
    const { tokensPerSecond } = better.evaluation;
    return [
      {
        pool,
        change,
        tokensPerSecond,
        throughputGain: tokensPerSecond / evaluation.tokensPerSecond - 1,
        scoreGain: better.score / score - 1,
      },
    ];
  });
}

interface Grown {
  readonly pool: NextStep['pool'];
  readonly change: string;
  readonly larger: Deployment;
}

function grown(deployment: Deployment, { shape }: SearchContext): readonly Grown[] {
  if (deployment.kind === 'colocated') return [];
  const { attention } = deployment;
  const workers = attention.workers + 1;
  const expert = nextShare(deployment.expert, shape.expertCount);
  return [
    {
      pool: 'attention',
      change: `${workers} attention workers instead of ${attention.workers}`,
      larger: { ...deployment, attention: { ...attention, workers } },
    },
    {
      pool: 'expert',
      change: `${expert.workers} expert workers instead of ${deployment.expert.workers}`,
      larger: { ...deployment, expert },
    },
  ];
}

/** The next smaller share that divides E; from one expert each, one copy more of each. */
function nextShare(
  expert: DisaggregatedDeployment['expert'],
  expertCount: number,
): DisaggregatedDeployment['expert'] {
  let size = expert.expertsPerWorker - 1;
  while (size > 1 && expertCount % size !== 0) size -= 1;
  if (size >= 1) return { ...expert, expertsPerWorker: size, workers: expertCount / size };
  const replicas = expert.replicas + 1;
  return { ...expert, replicas, workers: expertCount * replicas };
}
