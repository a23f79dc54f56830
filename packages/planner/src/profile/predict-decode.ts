import { ConfigError } from '@megascale/core';
import { attentionFitUs, edgeFitUs, expertFitUs } from './half-fits.js';
import type { HandoverProfile, MachineProfile, PoolProfile } from './machine-profile.js';
import { drawShares, type WorkerShare } from './route-spread.js';
import { walkStepUs, type WalkTimes } from './walk-step-us.js';

/** How a model runs on the machine that was profiled. */
export interface MachineDeployment {
  readonly colocated: boolean;
  /** M */
  readonly attentionWorkers: number;
  /** N */
  readonly expertWorkers: number;
  /** m */
  readonly microBatches: number;
  readonly attentionThreads: number;
  readonly expertThreads: number;
  readonly gather: 'layer' | 'lockstep';
  readonly overlapSteps: boolean;
  readonly emulatedLink?: {
    readonly latencyUs: number;
    readonly gigabitsPerSecond?: number | undefined;
  };
}

/** Sequences that decode together. */
export interface DecodeWorkload {
  readonly batch: number;
  /** Keys that a token sees on average. */
  readonly contextTokens: number;
}

export interface DecodePrediction {
  /** From one step's end to the next. */
  readonly tpotUs: number;
  readonly tokensPerSecond: number;
  /** T_a of one micro-batch, T_e of one run of the experts, T_c one way. */
  readonly attentionUs: number;
  readonly expertUs: number;
  readonly transferUs: number;
  /** Embedding, LM head and sampling of one micro-batch. */
  readonly edgeUs: number;
  readonly stepOverheadUs: number;
  readonly handoverUs: number;
}

/** bf16, and a route: an expert's id and its place. */
const elementBytes = 2;
const routeBytes = 8;

/**
 * What decode steps take on the machine of a profile. Halves, edges and handovers come from the
 * profile, expert rows from the routes that the batch is expected to take, and their order from the
 * engine's own (`walkStepUs`): pools that take turns add up, pools that overlap hide.
 * `pace` is how much longer everything takes now than when the profile was taken.
 *
 * @throws ConfigError where the profile lacks what the deployment needs.
 */
export function predictDecode(
  profile: MachineProfile,
  deployment: MachineDeployment,
  { batch, contextTokens }: DecodeWorkload,
  pace = 1,
): DecodePrediction {
  const { attentionWorkers, colocated } = deployment;
  const busyWorkers = Math.min(attentionWorkers, batch);
  const tokens = Math.ceil(batch / attentionWorkers);
  const sizes = splitEvenly(tokens, Math.min(deployment.microBatches, tokens));
  const pool = poolOf(profile, deployment.attentionThreads, busyWorkers);
  const attentionUs = sizes.map((tokens, index) =>
    attentionFitUs(pool.attention, {
      tokens,
      keysSeen: tokens * contextTokens,
      // Colocated experts run in between, and read more than caches hold.
      repeated: index > 0 && !colocated ? 1 : 0,
    }),
  );
  const edgeUs = sizes.map((size) => edgeFitUs(pool.edge, size));
  const merged = colocated ? 1 : busyWorkers;
  const expertUs = sizes.map((size) => expertRunUs(profile, deployment, size * merged));
  const mergedExpertUs = expertRunUs(profile, deployment, tokens * merged);
  const handover = colocated ? noHandover : handoverOf(profile, deployment);
  const times: WalkTimes = {
    layerCount: profile.model.layerCount,
    attentionUs: attentionUs.map((us) => us * pace),
    edgeUs: edgeUs.map((us) => us * pace),
    expertUs: expertUs.map((us) => us * pace),
    mergedExpertUs: mergedExpertUs * pace,
    stepOverheadUs: (pool.stepOverheadUs + pool.stepTokenUs * tokens) * pace,
    handoverUs: (handover.layerUs + handover.tokenUs * tokens * merged) * pace,
    dispatchUs: handover.microBatchUs * pace,
    gather: colocated ? 'lockstep' : deployment.gather,
    // Colocated experts run inside `dispatch`: there is nothing to overlap.
    overlapSteps: !colocated && deployment.overlapSteps,
    link: linkTimes(profile, deployment, sizes),
  };
  const tpotUs = walkStepUs(times);
  return {
    tpotUs,
    tokensPerSecond: (batch / tpotUs) * 1e6,
    attentionUs: mean(times.attentionUs),
    expertUs: times.gather === 'layer' ? times.mergedExpertUs : mean(times.expertUs),
    transferUs: times.link.latencyUs + mean(times.link.rowsUs),
    edgeUs: mean(times.edgeUs),
    stepOverheadUs: times.stepOverheadUs,
    handoverUs: times.handoverUs + times.dispatchUs * sizes.length,
  };
}

/** One run of the experts on so many tokens: the slowest worker's, whose answers are waited for. */
function expertRunUs(
  { model, effectiveExperts, ...profile }: MachineProfile,
  deployment: MachineDeployment,
  tokens: number,
): number {
  const workers = deployment.colocated ? 1 : deployment.expertWorkers;
  const threads = deployment.colocated ? deployment.attentionThreads : deployment.expertThreads;
  const atOnce = deployment.colocated ? deployment.attentionWorkers : workers;
  const { expert } = poolOf(profile, threads, atOnce);
  const us = ({ rows, distinctExperts }: WorkerShare): number =>
    expertFitUs(expert, rows, distinctExperts);
  const shares = drawShares(tokens, { ...model, effectiveExperts }, workers);
  return mean(shares.map((ranks) => Math.max(...ranks.map(us))));
}

/**
 * Of the pools that were measured with as many threads, the one with as many workers at once, or
 * the nearest.
 */
function poolOf(
  { pools }: Pick<MachineProfile, 'pools'>,
  threads: number,
  workersAtOnce: number,
): PoolProfile {
  const off = (pool: PoolProfile): number => Math.abs(pool.workersAtOnce - workersAtOnce);
  const [nearest] = pools
    .filter((pool) => pool.threads === threads)
    .sort((a, b) => off(a) - off(b));
  if (nearest !== undefined) return nearest;
  const known = [...new Set(pools.map((pool) => pool.threads))].join(', ');
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `The profile has no workers with ${threads} threads, only with ${known}. Take one with: megascale profile MODEL --threads ${threads}.`,
    details: { threads, known },
  });
}

const noHandover = { layerUs: 0, microBatchUs: 0, tokenUs: 0 };

/**
 * Of as many workers, or of the nearest that were measured: waiting for the slower of several
 * attention workers is most of it.
 */
function handoverOf(
  { handovers }: MachineProfile,
  { attentionWorkers, expertWorkers }: MachineDeployment,
): Pick<HandoverProfile, 'layerUs' | 'microBatchUs' | 'tokenUs'> {
  const off = (each: HandoverProfile): number =>
    1000 * Math.abs(each.attentionWorkers - attentionWorkers) +
    Math.abs(each.expertWorkers - expertWorkers);
  return [...handovers].sort((a, b) => off(a) - off(b))[0] ?? noHandover;
}

/** How long messages keep an emulated link busy; the real one is in the handover. */
function linkTimes(
  { model }: MachineProfile,
  { emulatedLink, colocated, expertWorkers }: MachineDeployment,
  sizes: readonly number[],
): WalkTimes['link'] {
  const { latencyUs = 0, gigabitsPerSecond = Infinity } = colocated ? {} : (emulatedLink ?? {});
  const bytesPerUs = gigabitsPerSecond * 125;
  const rowBytes = model.hiddenSize * elementBytes;
  // A token's row goes once to each worker that holds one of its experts.
  const reached = 1 - (1 - 1 / expertWorkers) ** model.topK;
  return {
    latencyUs,
    rowsUs: sizes.map(
      (size) => (size * (model.topK * routeBytes + reached * rowBytes)) / bytesPerUs,
    ),
    answersUs: sizes.map((size) => (size * model.topK * rowBytes) / expertWorkers / bytesPerUs),
  };
}

function splitEvenly(tokens: number, parts: number): number[] {
  return Array.from({ length: parts }, (_, index) => {
    return Math.floor(tokens / parts) + (index < tokens % parts ? 1 : 0);
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
