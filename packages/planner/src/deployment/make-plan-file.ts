import type { Deployment, Pool, Slo, Traffic } from './deployment.js';
import { poolsOf } from '../evaluate/decode-evaluation.js';
import type { PlanExplanation } from '../explain/explain-plan.js';
import type { ModelShape } from '../model/model-shape.js';
import type { Candidate } from '../search/plan-request.js';
import type { PrefillPlan } from '../search/search-prefill.js';
import type { PlanFile } from './plan-schema.js';

export interface PlanFileInput {
  readonly shape: ModelShape;
  readonly traffic: Traffic;
  readonly slo: Slo;
  readonly candidate: Candidate;
  readonly explanation: PlanExplanation;
  readonly prefill?: PrefillPlan | undefined;
}

/** The plan as a document. */
export function makePlanFile(input: PlanFileInput): PlanFile {
  const { shape, traffic, slo, candidate, explanation, prefill } = input;
  const { deployment, evaluation } = candidate;
  const { attentionTimeUs, expertTimeUs, transferTimeUs } = evaluation.times;
  return {
    kind: 'megascale-plan',
    version: 1,
    model: {
      name: shape.name,
      layerCount: shape.layerCount,
      hiddenSize: shape.hiddenSize,
      expertCount: shape.expertCount,
      topK: shape.topK,
    },
    traffic: { inputTokens: traffic.inputTokens, outputTokens: traffic.outputTokens },
    slo: { tpotMs: slo.tpotMs, ...(slo.ttftMs === undefined ? {} : { ttftMs: slo.ttftMs }) },
    deployment: deploymentData(deployment),
    predicted: {
      batch: evaluation.batch,
      tpotMs: evaluation.stepUs / 1000,
      tokensPerSecond: evaluation.tokensPerSecond,
      ...evaluation.hardware,
      attentionTimeUs,
      expertTimeUs,
      transferTimeUs,
    },
    ...(prefill === undefined
      ? {}
      : {
          prefill: {
            pool: poolData(prefill.pool),
            prompts: prefill.prompts,
            ttftMs: prefill.ttftMs,
          },
        }),
    serve: serveSettings(deployment),
    notes: notesOf(deployment),
    reasons: [explanation.verdict.reason, ...explanation.bounds],
  };
}

function deploymentData(deployment: Deployment): PlanFile['deployment'] {
  if (deployment.kind === 'colocated') {
    return { ...deployment, pool: poolData(deployment.pool) };
  }
  const { attention, expert, microBatchCount } = deployment;
  const { expertsPerWorker, replicas } = expert;
  return {
    kind: 'disaggregated',
    attention: poolData(attention),
    expert: { ...poolData(expert), expertsPerWorker, replicas },
    microBatchCount,
  };
}

function poolData({ accelerator, tensorParallel, workers }: Pool) {
  return {
    accelerator: accelerator.name,
    tensorParallel,
    workers,
    machines: Math.ceil((tensorParallel * workers) / accelerator.perNode),
  };
}

/**
 * The engine's colocated mode keeps all experts in every worker, so a colocated plan starts one.
 */
function serveSettings(deployment: Deployment): PlanFile['serve'] {
  const machines = poolsOf(deployment).reduce((sum, pool) => sum + poolData(pool).machines, 0);
  const transport = machines > 1 ? 'tcp' : 'shm';
  if (deployment.kind === 'colocated') {
    return {
      colocated: true,
      attentionWorkers: 1,
      expertWorkers: 1,
      expertReplicas: 1,
      microBatches: 1,
      transport: 'shm',
    };
  }
  const { attention, expert, microBatchCount } = deployment;
  return {
    colocated: false,
    attentionWorkers: attention.workers,
    expertWorkers: expert.workers,
    expertReplicas: expert.replicas,
    microBatches: microBatchCount,
    transport,
  };
}

function notesOf(deployment: Deployment): readonly string[] & PlanFile['notes'] {
  const notes: string[] = [];
  if (poolsOf(deployment).some(({ tensorParallel }) => tensorParallel > 1)) {
    notes.push(
      'The plan joins several accelerators into one worker; a worker of serve uses what its backend has, on a CPU the threads of --threads.',
    );
  }
  if (deployment.kind === 'colocated' && deployment.pool.workers > 1) {
    notes.push(
      `The plan spreads one colocated instance over ${deployment.pool.workers} workers; serve starts one worker that holds the whole model.`,
    );
  }
  return notes;
}
