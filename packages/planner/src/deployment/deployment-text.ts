import type { Deployment, Pool } from './deployment.js';

/** One line for tables and legends: `8 × 2 H20 | 16 L40S, m = 3`. */
export function deploymentText(deployment: Deployment): string {
  if (deployment.kind === 'disaggregated') {
    const { attention, expert, microBatchCount } = deployment;
    const share = expert.expertsPerWorker === 1 ? '' : ` of ${expert.expertsPerWorker} experts`;
    const copies = expert.replicas === 1 ? '' : `, ${expert.replicas} copies`;
    return `${poolText(attention)} | ${poolText(expert)}${share}${copies}, m = ${microBatchCount}`;
  }
  const { parallelism, pool, pipelineParallel, microBatchCount } = deployment;
  if (parallelism === 'expert') {
    return `colocated EP ${poolText(pool)}, m = ${microBatchCount}`;
  }
  const stages = pipelineParallel === 1 ? '' : `, ${pipelineParallel} stages`;
  return `colocated TP ${poolText(pool)}${stages}`;
}

/** Workers × accelerators of each. */
function poolText({ accelerator, tensorParallel, workers }: Pool): string {
  const each = tensorParallel === 1 ? '' : ` × ${tensorParallel}`;
  return `${workers}${each} ${accelerator.name}`;
}
