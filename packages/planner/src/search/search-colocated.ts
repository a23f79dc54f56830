import type { Accelerator } from '../catalogue/accelerator.js';
import type { ColocatedDeployment } from '../deployment/deployment.js';
import { withLargestBatch } from './with-largest-batch.js';
import type { Candidate } from './plan-request.js';
import type { SearchContext } from './search-context.js';

/**
 * The best colocated deployment on one kind of accelerator: tensor and pipeline parallelism, or
 * expert parallelism over up to the limit.
 */
export function searchColocated(
  accelerator: Accelerator,
  context: SearchContext,
  parallelisms: readonly ColocatedDeployment['parallelism'][] = ['tensor', 'expert'],
): Candidate | undefined {
  const candidates = deploymentsOf(accelerator, context)
    .filter(({ parallelism }) => parallelisms.includes(parallelism))
    .map((deployment) => withLargestBatch(deployment, context, { tolerance: 1 / 256 }))
    .filter((candidate) => candidate !== undefined);
  const best = candidates.reduce<Candidate | undefined>(
    (most, one) => (one.score > (most?.score ?? 0) ? one : most),
    undefined,
  );
  return best?.deployment.kind === 'colocated'
    ? withLargestBatch(best.deployment, context)
    : undefined;
}

function deploymentsOf(
  accelerator: Accelerator,
  { shape, limits }: SearchContext,
): readonly ColocatedDeployment[] {
  const degrees = limits.tensorParallel.filter((degree) => degree <= accelerator.perNode);
  const stages = [1, 2, 4, 8, 16, 32].filter((count) => count <= shape.layerCount);
  const { expertCount } = shape;
  const workerCounts = Array.from({ length: limits.expertWorkersMax }, (_, index) => index + 1)
    .filter((count) => count > 1)
    .filter((count) => expertCount % count === 0 || count % expertCount === 0);
  return degrees
    .flatMap((tensorParallel): readonly ColocatedDeployment[] => [
      ...stages.map((count): ColocatedDeployment => ({
        kind: 'colocated',
        parallelism: 'tensor',
        pool: { accelerator, tensorParallel, workers: count },
        pipelineParallel: count,
        microBatchCount: 1,
      })),
      ...workerCounts.flatMap((workers) =>
        [1, 2].map((microBatchCount): ColocatedDeployment => ({
          kind: 'colocated',
          parallelism: 'expert',
          pool: { accelerator, tensorParallel, workers },
          pipelineParallel: 1,
          microBatchCount,
        })),
      ),
    ])
    .filter(({ pool }) => pool.tensorParallel * pool.workers <= limits.acceleratorsMax);
}
