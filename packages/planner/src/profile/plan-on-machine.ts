import { meanContextTokens, type Slo, type Traffic } from '../deployment/deployment.js';
import type { PlanFile } from '../deployment/plan-schema.js';
import { deployOnCores } from './deploy-on-cores.js';
import type { MachineProfile } from './machine-profile.js';
import { predictDecode, type DecodePrediction, type MachineDeployment } from './predict-decode.js';

export interface MachinePlanRequest {
  readonly profile: MachineProfile;
  readonly traffic: Traffic;
  readonly slo: Slo;
  /** Sequences that decode together, at most. */
  readonly batchMax: number;
  /** m from 1 to this. */
  readonly microBatchesMax: number;
}

/**
 * One way to run the model on the machine of a profile, with the largest batch that keeps the time
 * from token to token.
 */
export interface MachineCandidate {
  readonly deployment: MachineDeployment;
  readonly batch: number;
  readonly prediction: DecodePrediction;
}

export interface MachinePlan {
  /** Most tokens per second first. Empty when nothing keeps the time from token to token. */
  readonly ranked: readonly MachineCandidate[];
  readonly answer: 'colocated' | 'disaggregated' | 'none';
  readonly reason: string;
}

/** A cut has to be predicted this much quicker: it costs more processes and copies. */
const worthwhile = 1.05;

/**
 * Ranks what one machine can run: colocated, and cut into as many workers as its profile has
 * measured, for every m. Memory is not looked at: what was profiled has run there.
 */
export function planOnMachine(request: MachinePlanRequest): MachinePlan {
  const ranked = candidateDeployments(request)
    .flatMap((deployment) => largestBatch(deployment, request) ?? [])
    .sort((a, b) => b.prediction.tokensPerSecond - a.prediction.tokensPerSecond);
  return { ranked, ...verdict(ranked, request) };
}

function candidateDeployments({
  profile,
  microBatchesMax,
}: MachinePlanRequest): MachineDeployment[] {
  const { cores } = profile.machine;
  const counts = Array.from({ length: microBatchesMax }, (_, index) => index + 1);
  const pairs = profile.handovers.map(({ attentionWorkers, expertWorkers }) => {
    return { attentionWorkers, expertWorkers };
  });
  const cut = pairs.flatMap((pair) => counts.map((microBatches) => ({ ...pair, microBatches })));
  const wanted = [{ colocated: true }, ...cut];
  const measured = new Set(profile.pools.map(({ threads }) => threads));
  return wanted
    .map((each) => deployOnCores(each, cores))
    .filter(
      ({ attentionThreads, expertThreads }) =>
        measured.has(attentionThreads) && measured.has(expertThreads),
    );
}

/**
 * Undefined when not even one sequence keeps the time. Times grow with the batch, so the largest is
 * found by halving.
 */
function largestBatch(
  deployment: MachineDeployment,
  { profile, traffic, slo, batchMax }: MachinePlanRequest,
): MachineCandidate | undefined {
  const contextTokens = meanContextTokens(traffic);
  const at = (batch: number): MachineCandidate => ({
    deployment,
    batch,
    prediction: predictDecode(profile, deployment, { batch, contextTokens }),
  });
  const keeps = (candidate: MachineCandidate): boolean =>
    candidate.prediction.tpotUs <= slo.tpotMs * 1000;
  let best: MachineCandidate | undefined;
  for (let low = 1, high = batchMax; low <= high;) {
    const middle = low === 1 && best === undefined ? 1 : Math.ceil((low + high) / 2);
    const candidate = at(middle);
    if (keeps(candidate)) {
      best = candidate;
      low = middle + 1;
    } else if (middle === 1) {
      return undefined;
    } else {
      high = middle - 1;
    }
  }
  return best;
}

function verdict(
  ranked: readonly MachineCandidate[],
  { slo }: MachinePlanRequest,
): Pick<MachinePlan, 'answer' | 'reason'> {
  const colocated = ranked.find(({ deployment }) => deployment.colocated);
  const cut = ranked.find(({ deployment }) => !deployment.colocated);
  if (colocated === undefined && cut === undefined) {
    const reason = `Nothing on this machine is predicted to keep ${slo.tpotMs} ms from token to token.`;
    return { answer: 'none', reason };
  }
  if (cut === undefined || colocated === undefined) {
    const answer = cut === undefined ? 'colocated' : 'disaggregated';
    return { answer, reason: `Only ${answer} keeps ${slo.tpotMs} ms from token to token.` };
  }
  const ratio = cut.prediction.tokensPerSecond / colocated.prediction.tokensPerSecond;
  const waits =
    cut.deployment.gather === 'layer'
      ? ', because its pools share the cores and take turns, so that nothing overlaps'
      : '';
  if (ratio < worthwhile) {
    const reason = `Colocated: the best cut is predicted to have ${ratio.toFixed(2)} of its tokens per second${waits}.`;
    return { answer: 'colocated', reason };
  }
  const reason = `Disaggregated: predicted to have ${ratio.toFixed(2)} times the tokens per second of colocated.`;
  return { answer: 'disaggregated', reason };
}

/** The answer as a document that `megascale serve --plan` runs; undefined when there is none. */
export function machinePlanFile(
  plan: MachinePlan,
  { profile, traffic, slo }: MachinePlanRequest,
): PlanFile | undefined {
  const wanted = plan.answer === 'colocated';
  const chosen = plan.ranked.find(({ deployment }) => deployment.colocated === wanted);
  if (chosen === undefined) return undefined;
  const { deployment, batch, prediction } = chosen;
  const { name, layerCount, hiddenSize, expertCount, topK } = profile.model;
  const { attentionWorkers, expertWorkers, microBatches } = deployment;
  const pool = (workers: number) => ({
    accelerator: profile.machine.cpu.slice(0, 200),
    tensorParallel: 1,
    workers,
    machines: 1,
  });
  return {
    kind: 'megascale-plan',
    version: 1,
    model: { name, layerCount, hiddenSize, expertCount, topK },
    traffic: { inputTokens: traffic.inputTokens, outputTokens: traffic.outputTokens },
    slo: { tpotMs: slo.tpotMs, ...(slo.ttftMs === undefined ? {} : { ttftMs: slo.ttftMs }) },
    deployment: deployment.colocated
      ? {
          kind: 'colocated',
          parallelism: 'expert',
          pool: pool(1),
          pipelineParallel: 1,
          microBatchCount: microBatches,
        }
      : {
          kind: 'disaggregated',
          attention: pool(attentionWorkers),
          expert: {
            ...pool(expertWorkers),
            expertsPerWorker: Math.ceil(expertCount / expertWorkers),
            replicas: 1,
          },
          microBatchCount: microBatches,
        },
    predicted: {
      batch,
      tpotMs: prediction.tpotUs / 1000,
      tokensPerSecond: prediction.tokensPerSecond,
      accelerators: 1,
      price: 1,
      watts: 0,
      attentionTimeUs: prediction.attentionUs,
      expertTimeUs: prediction.expertUs,
      transferTimeUs: prediction.transferUs,
    },
    serve: {
      colocated: deployment.colocated,
      attentionWorkers,
      expertWorkers,
      expertReplicas: 1,
      microBatches,
      transport: 'shm',
    },
    notes: [],
    reasons: [plan.reason],
  };
}
