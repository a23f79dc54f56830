import type { Accelerator } from '../catalogue/accelerator.js';
import { withNetwork } from '../catalogue/catalogue.js';
import type { DisaggregatedDeployment } from '../deployment/deployment.js';
import { evaluateDecode } from '../evaluate/evaluate.js';
import { withLargestBatch } from '../search/with-largest-batch.js';
import type { Candidate, PlanObjective } from '../search/plan-request.js';
import { searchPrefill } from '../search/search-prefill.js';
import type { SearchContext } from '../search/search-context.js';
import {
  machinesFor,
  ourPlan,
  paperAccelerator,
  paperContext,
  paperModels,
  paperShape,
  pipelineOverMachines,
  tensorOverMachines,
  type PaperModel,
  type PaperSetting,
} from './paper-systems.js';

/** Decode on Ampere, tokens per second per accelerator: ours over each baseline. */
export function homogeneous(model: PaperModel, setting: PaperSetting) {
  const context = paperContext(paperShape(model), setting, 'accelerator');
  const a800 = paperAccelerator('A800');
  const machines = machinesFor(context.shape, a800, setting.assumptions);
  const ours = ourPlan(a800, a800, context);
  const tensorRt = pipelineOverMachines(a800, machines, context);
  const vllm = tensorOverMachines(a800, machines, context);
  return {
    overTensorRt: ours.score / tensorRt.score,
    overVllm: ours.score / (vllm.score * setting.vllmShare),
    endToEnd: endToEnd(ours, tensorRt, { own: [a800], theirs: [a800] }, setting, context),
  };
}

/** H20 for attention and L40S for experts over baselines on H20, per price or watt. */
export function heterogeneous(model: PaperModel, setting: PaperSetting, objective: PlanObjective) {
  const h20 = paperAccelerator('H20');
  const l40s = paperAccelerator('L40S');
  // The plan is the one with the best price, whatever is counted.
  const byPrice = paperContext(paperShape(model), setting, 'price');
  const context = paperContext(paperShape(model), setting, objective);
  const { deployment } = ourPlan(h20, l40s, byPrice);
  const ours = required(withLargestBatch(deployment, context));
  const machines = machinesFor(context.shape, h20, setting.assumptions);
  const tensorRt = pipelineOverMachines(h20, machines, context);
  const vllm = tensorOverMachines(h20, machines, context);
  return {
    overTensorRt: ours.score / tensorRt.score,
    overVllm: ours.score / (vllm.score * setting.vllmShare),
    endToEnd: endToEnd(ours, tensorRt, { own: [h20, l40s], theirs: [h20] }, setting, context),
  };
}

/** Units × seconds of one request, prefill and decode, theirs over ours. */
function endToEnd(
  ours: Candidate,
  theirs: Candidate,
  prefillOn: { readonly own: readonly Accelerator[]; readonly theirs: readonly Accelerator[] },
  { traffic, prefill: kinds }: PaperSetting,
  context: SearchContext,
): number {
  const cost = (decode: Candidate, accelerators: readonly Accelerator[]): number => {
    const prefill = searchPrefill(accelerators, traffic, undefined, context);
    const rate = prefill?.promptTokensPerSecondPerUnit ?? 0;
    return traffic.inputTokens / rate + traffic.outputTokens / decode.score;
  };
  return (
    cost(theirs, prefillOn.theirs) / cost(ours, kinds === 'same' ? prefillOn.theirs : prefillOn.own)
  );
}

/**
 * Throughput with the batch of the plan for m = 3 in 1, 2 and 3 micro-batches (B is the whole
 * batch, of which a micro-batch is an m-th).
 */
export function overMicroBatches(
  model: PaperModel,
  setting: PaperSetting,
): { readonly oneToTwo: number; readonly twoToThree: number } {
  const context = paperContext(paperShape(model), setting, 'accelerator');
  const { plan, evaluation } = ampereWithThree(context);
  const { batch, contextTokens } = evaluation;
  const rate = (microBatchCount: number): number =>
    evaluateDecode(
      context.shape,
      { ...plan, microBatchCount },
      { batch, contextTokens },
      setting.assumptions,
    ).tokensPerSecond;
  return { oneToTwo: rate(2) / rate(1), twoToThree: rate(3) / rate(2) };
}

/**
 * DBRX with 1 … 16 attention workers that hold equally many sequences each; where throughput per
 * accelerator is highest, and 4 over 1.
 */
export function overAttentionWorkers(setting: PaperSetting): {
  readonly peak: number;
  readonly fourOverOne: number;
} {
  const context = paperContext(paperShape('dbrx'), setting, 'accelerator');
  const { plan, evaluation } = ampereWithThree(context);
  const perWorker = evaluation.batch / plan.attention.workers;
  const at = (workers: number) =>
    evaluateDecode(
      context.shape,
      { ...plan, attention: { ...plan.attention, workers } },
      { batch: perWorker * workers, contextTokens: context.contextTokens },
      setting.assumptions,
    );
  const peak = [1, 2, 4, 8, 16].reduce((best, workers) =>
    at(workers).tokensPerSecondPerAccelerator > at(best).tokensPerSecondPerAccelerator
      ? workers
      : best,
  );
  return { peak, fourOverOne: at(4).tokensPerSecond / at(1).tokensPerSecond };
}

/**
 * Throughput over that with NCCL's transfers, each with its own plan and batch: the most of the
 * three models.
 */
export function m2nOverNccl(setting: PaperSetting): number {
  return Math.max(...paperModels.map((model) => m2nGain(model, setting)));
}

/** With NCCL's transfers, over the vLLM-like baseline: the most of the three models. */
export function ncclOverColocated(setting: PaperSetting): number {
  return Math.max(
    ...paperModels.map((model) => homogeneous(model, setting).overVllm / m2nGain(model, setting)),
  );
}

function m2nGain(model: PaperModel, setting: PaperSetting): number {
  const context = paperContext(paperShape(model), setting, 'accelerator');
  const a800 = paperAccelerator('A800');
  const slow = withNetwork(a800, {
    name: 'NCCL',
    gigabytesPerSecond: a800.network.gigabytesPerSecond / setting.ncclTime,
    latencyUs: a800.network.latencyUs * setting.ncclTime,
  });
  return ourPlan(a800, a800, context).score / ourPlan(slow, slow, context).score;
}

/** The plan on Ampere with m = 3. */
function ampereWithThree(context: SearchContext): {
  readonly plan: DisaggregatedDeployment;
  readonly evaluation: Candidate['evaluation'];
} {
  const a800 = paperAccelerator('A800');
  const limits = { ...context.limits, microBatchCounts: [3] };
  const found = ourPlan(a800, a800, { ...context, limits });
  return { plan: found.deployment, evaluation: found.evaluation };
}

function required(candidate: Candidate | undefined): Candidate {
  if (candidate === undefined) throw new Error('nothing keeps the SLO of the paper');
  return candidate;
}
