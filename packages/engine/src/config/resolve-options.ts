import { availableParallelism } from 'node:os';
import { ConfigError, type ModelSizes } from '@megascale/core';
import { uniformPlacement } from '@megascale/scheduler';
import { pluginSpecifier } from '../plugins/plugin-specifier.js';
import { coordinatorOptions, type EngineConfig } from './engine-config.js';
import { checkHosts, resolveNetwork } from './hosts.js';
import type { ParsedOptions } from './options.js';
import { shareCores } from './share-cores.js';

/**
 * Fills in what depends on the model and on the machine. Options that need no such care pass as
 * they are.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' for options that contradict each other or the model.
 */
export function resolveOptions(options: ParsedOptions, sizes: ModelSizes): EngineConfig {
  const shares = shareCores(options, availableParallelism());
  const wanted = options.microBatches ?? (options.colocated ? 1 : 2);
  const chooses = !options.colocated && shares.gather.type !== 'layer';
  const chooseMicroBatches = wanted === 'auto' && chooses;
  const unchosen = options.colocated ? 1 : Math.min(2, options.microBatchesMax);
  const automatic = chooseMicroBatches ? options.microBatchesMax : unchosen;
  const microBatches = wanted === 'auto' ? automatic : wanted;
  checkHosts(options.hosts, options, options.transport);
  if (options.rebalance !== undefined) checkRebalance(options);
  if (!options.colocated) checkExperts(options, sizes);
  const { kvPages, maxModelLen } = resolveMemory(options, sizes);
  const maxNumBatchedTokens = Math.max(options.maxNumBatchedTokens, microBatches);
  return {
    ...omitFields(options, coordinatorOptions),
    ...shares,
    kvPages,
    maxModelLen,
    microBatches,
    chooseMicroBatches,
    // With m = 1 a whole step is one micro-batch.
    tokensPerMicroBatchMax: chooseMicroBatches
      ? maxNumBatchedTokens
      : Math.ceil(maxNumBatchedTokens / microBatches),
    maxNumBatchedTokens,
    maxNumSeqs: Math.min(options.maxNumSeqs, maxNumBatchedTokens),
    overlapSteps: options.overlapSteps && !options.colocated,
    policy: pluginSpecifier(options.policy),
    backend: pluginSpecifier(options.backend),
    transport: pluginSpecifier(options.transport),
    network: resolveNetwork(options.network),
    expertLoadWindowMs: loadWindowMs(options),
  };
}

function omitFields<Fields extends object, Name extends string>(
  fields: Fields,
  names: Readonly<Record<Name, true>>,
): Omit<Fields, Name> {
  const kept = Object.entries(fields).filter(([name]) => !Object.hasOwn(names, name));
  return Object.fromEntries(kept) as Omit<Fields, Name>;
}

function loadWindowMs({
  rebalance,
  expertLoadFile,
  expertLoadWindowMs,
}: Pick<ParsedOptions, 'rebalance' | 'expertLoadFile' | 'expertLoadWindowMs'>): number {
  if (rebalance === undefined && expertLoadFile === undefined) return 0;
  return Math.min(expertLoadWindowMs, rebalance?.intervalMs ?? expertLoadWindowMs);
}

function checkExperts(
  { expertWorkers, expertReplicas, combine }: ParsedOptions,
  { expertCount }: ModelSizes,
): void {
  uniformPlacement(expertCount, expertWorkers, expertReplicas);
  if (combine === 'attention' || expertReplicas === 1) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Option combine: 'expert' with ${String(expertReplicas)} replicas of every expert. Which replicas share a sum would depend on the other rows of the micro-batch, and so would a request's tokens. Leave out one of the two.`,
    details: { path: 'combine', expertReplicas },
  });
}

function checkRebalance({ colocated, combine }: ParsedOptions): void {
  const foe = colocated ? 'colocated' : combine === 'expert' ? 'combine' : undefined;
  if (foe === undefined) return;
  const why = colocated
    ? 'a colocated worker holds every expert'
    : "under combine: 'expert' a request's tokens depend on the placement";
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Option rebalance: ${why}. Leave out rebalance or ${foe}.`,
    details: { path: 'rebalance' },
  });
}

function resolveMemory(
  options: ParsedOptions,
  sizes: ModelSizes,
): { kvPages: number; maxModelLen: number } {
  const { kvPageSize, maxNumSeqs } = options;
  // A key or a value of one head on `cpu`: two bytes an element, or one and a scale; the reference
  // backend takes more.
  const headBytes = options.kvCacheDtype === 'int8' ? sizes.headSize + 4 : 2 * sizes.headSize;
  const tokenBytes = 2 * sizes.layerCount * sizes.kvHeadCount * headBytes;
  const pagesOf = (tokens: number): number => Math.ceil(tokens / kvPageSize);
  const wanted = Math.min(options.maxModelLen ?? sizes.positionsMax, sizes.positionsMax);
  const affordable = Math.max(1, Math.floor(options.kvMemoryBytes / (tokenBytes * kvPageSize)));
  const kvPages = options.kvPages ?? Math.min(affordable, maxNumSeqs * pagesOf(wanted));
  return { kvPages, maxModelLen: Math.min(wanted, kvPages * kvPageSize) };
}
