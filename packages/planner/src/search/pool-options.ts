import type { Accelerator } from '../catalogue/accelerator.js';
import { createAcceleratorCosts, type WorkerHardware } from '../cost/accelerator-costs.js';
import { distinctExperts, groupsPerToken } from '../cost/active-experts.js';
import type { StepCosts } from '../cost/step-costs.js';
import type { DisaggregatedDeployment } from '../deployment/deployment.js';
import {
  attentionWeightBytes,
  expertWeightBytes,
  keysSeenWith,
  type ModelShape,
} from '../model/model-shape.js';
import type { PlanObjective, SearchLimits } from './plan-request.js';
import type { SearchContext } from './search-context.js';

/** One way to build an attention worker. */
export interface AttentionOption {
  readonly hardware: WorkerHardware;
  /** Price, accelerators or watts. */
  readonly unit: number;
  readonly kvRoomBytes: number;
  /**
   * By m: units × µs of one token at one layer, never more than any batch within the limits
   * reaches.
   */
  readonly leastUnitUs: LeastUnitUs;
}

/** For each link, in the order of `microBatchCounts`. */
export type LeastUnitUs = Readonly<Record<'network' | 'scale-up', ReadonlyMap<number, number>>>;

/** One way to build the whole expert pool. */
export interface ExpertOption {
  readonly hardware: WorkerHardware;
  readonly split: ExpertSplit;
  /** Of the pool. */
  readonly unit: number;
  readonly leastUnitUs: LeastUnitUs;
}

export type ExpertSplit = Pick<
  DisaggregatedDeployment['expert'],
  'expertsPerWorker' | 'replicas' | 'workers'
>;

/** All tp_a whose weights leave room for KV pages. */
export function attentionOptions(
  accelerator: Accelerator,
  context: SearchContext,
): readonly AttentionOption[] {
  const { shape, contextTokens, limits, objective } = context;
  const keys = keysSeenWith(shape, contextTokens);
  return degrees(accelerator, limits).flatMap((tensorParallel): readonly AttentionOption[] => {
    const hardware = { accelerator, tensorParallel };
    const kvRoomBytes = roomBytes(hardware, attentionWeightBytes(shape), context);
    if (kvRoomBytes <= 0) return [];
    const costs = costsOf(hardware, context);
    const unit = unitOf(hardware, objective);
    const timeUs = (tokens: number): number =>
      costs.attentionTimeUs({ tokens, keysSeen: tokens * keys, keysRead: tokens * keys });
    const attentionBytes = bytesPerToken(context, 1);
    const travelUs = travelUsOf(hardware, { attentionBytes, expertBytes: 0 }, context);
    const leastUnitUs = leastOf(context, { unit, travelUs }, (microBatchCount, stageUsMax) => {
      const tokensMax = kvRoomBytes / (keys * shape.kvBytesPerToken * microBatchCount);
      return usPerToken(timeUs, { stageUsMax, tokensMax });
    });
    return [{ hardware, unit, kvRoomBytes, leastUnitUs }];
  });
}

/** All tp_e and even shares of the experts whose weights fit. */
export function expertOptions(
  accelerator: Accelerator,
  context: SearchContext,
): readonly ExpertOption[] {
  const { shape, limits, objective } = context;
  return degrees(accelerator, limits).flatMap((tensorParallel) => {
    const hardware = { accelerator, tensorParallel };
    const costs = costsOf(hardware, context);
    return expertSplits(shape, limits).flatMap((split): readonly ExpertOption[] => {
      const { expertsPerWorker, replicas, workers } = split;
      if (roomBytes(hardware, expertsPerWorker * expertWeightBytes(shape), context) <= 0) return [];
      const unit = unitOf(hardware, objective) * workers;
      const share = shape.topK / (shape.expertCount * replicas);
      const timeUs = (tokens: number): number =>
        costs.expertTimeUs({
          rows: (tokens * shape.topK) / workers,
          distinctExperts: distinctExperts(expertsPerWorker, share, tokens),
        });
      const groups = groupsPerToken(shape.expertCount, expertsPerWorker, shape.topK);
      const expertBytes = bytesPerToken(context, groups) / workers;
      const travelUs = travelUsOf(hardware, { attentionBytes: 0, expertBytes }, context);
      const leastUnitUs = leastOf(context, { unit, travelUs }, (_, stageUsMax) =>
        usPerToken(timeUs, { stageUsMax, tokensMax: 1e7 }),
      );
      return [{ hardware, split, unit, leastUnitUs }];
    });
  });
}

/** Price, accelerators or watts of one worker. */
export function unitOf(
  { accelerator, tensorParallel }: WorkerHardware,
  objective: PlanObjective,
): number {
  switch (objective) {
    case 'price':
      return tensorParallel * accelerator.price;
    case 'accelerator':
      return tensorParallel;
    case 'watt':
      return tensorParallel * accelerator.watts;
  }
}

type PerLink = Readonly<Record<'network' | 'scale-up', number>>;

/**
 * A step takes at least m T_f L, so neither half may take more than SLO / (m L); and a token
 * computes no faster than it travels.
 */
function leastOf(
  { shape, limits, stepUsMax }: SearchContext,
  { unit, travelUs }: { readonly unit: number; readonly travelUs: PerLink },
  computeUs: (microBatchCount: number, stageUsMax: number) => number,
): LeastUnitUs {
  const computed = limits.microBatchCounts.map(
    (count) => [count, computeUs(count, stepUsMax / (count * shape.layerCount))] as const,
  );
  const over = (link: keyof PerLink): ReadonlyMap<number, number> =>
    new Map(computed.map(([count, us]) => [count, unit * Math.max(us, travelUs[link])]));
  return { network: over('network'), 'scale-up': over('scale-up') };
}

/**
 * Time per token falls with the size of a micro-batch: taken at the most tokens within both limits,
 * rounded up.
 */
function usPerToken(
  timeUs: (tokens: number) => number,
  { stageUsMax, tokensMax }: { readonly stageUsMax: number; readonly tokensMax: number },
): number {
  if (tokensMax <= 0 || timeUs(0) > stageUsMax) return Infinity;
  const mostUs = timeUs(tokensMax);
  if (mostUs <= stageUsMax) return mostUs / tokensMax;
  let low = 0;
  let high = tokensMax;
  for (let turn = 0; turn < 24; turn += 1) {
    const middle = (low + high) / 2;
    if (timeUs(middle) <= stageUsMax) low = middle;
    else high = middle;
  }
  return timeUs(high) / high;
}

/** What one token's bytes take, without latency. */
function travelUsOf(
  hardware: WorkerHardware,
  bytes: { readonly attentionBytes: number; readonly expertBytes: number },
  context: SearchContext,
): PerLink {
  const peers = { attentionPeers: 0, expertPeers: 0 };
  const over = (link: keyof PerLink): number => {
    const costs = costsOf(hardware, context, link);
    const latencyUs = costs.transferTimeUs({ attentionBytes: 0, expertBytes: 0, ...peers });
    return costs.transferTimeUs({ ...bytes, ...peers }) - latencyUs;
  };
  return { network: over('network'), 'scale-up': over('scale-up') };
}

function costsOf(
  hardware: WorkerHardware,
  { shape, assumptions }: SearchContext,
  link: keyof PerLink = 'network',
): StepCosts {
  return createAcceleratorCosts({
    shape,
    attention: hardware,
    expert: hardware,
    link,
    assumptions,
  });
}

/** One way, the larger direction. `groups`: expert workers that a token's row goes to. */
function bytesPerToken({ shape, assumptions }: SearchContext, groups: number): number {
  const { message, topK } = shape;
  return Math.max(
    groups * message.dispatchBytesPerRow,
    (assumptions.combineAtExperts ? groups : topK) * message.combineBytesPerRow,
  );
}

function roomBytes(
  { accelerator, tensorParallel }: WorkerHardware,
  weightBytes: number,
  { assumptions }: SearchContext,
): number {
  return (
    accelerator.memoryGigabytes * 1e9 * tensorParallel * assumptions.memoryUsable - weightBytes
  );
}

function degrees(accelerator: Accelerator, { tensorParallel }: SearchLimits): readonly number[] {
  return tensorParallel.filter((degree) => degree <= accelerator.perNode);
}

/** Even shares: e divides E. More than one worker per expert only where each has one. */
function expertSplits(
  { expertCount }: ModelShape,
  { replicas, expertWorkersMax, expertsPerWorkerMax }: SearchLimits,
): readonly ExpertSplit[] {
  return Array.from({ length: expertCount }, (_, index) => index + 1)
    .filter((size) => expertCount % size === 0 && size <= expertsPerWorkerMax)
    .flatMap((size) =>
      (size === 1 ? replicas : [1]).map((copies) => ({
        expertsPerWorker: size,
        replicas: copies,
        workers: (expertCount / size) * copies,
      })),
    )
    .filter(({ workers }) => workers <= expertWorkersMax);
}
