import { availableParallelism } from 'node:os';
import {
  ConfigError,
  defaultSplitRowsMin,
  type EmulatedLink,
  type GatherPolicy,
  type KvCacheDtype,
  type ModelSizes,
} from '@megascale/core';
import { z } from 'zod';
import { uniformPlacement } from '@megascale/scheduler';
import { rebalanceSchema } from './rebalance-options.js';
import { policySpecifier } from '../plugins/policy-file.js';
import { checkHosts, hostSchema, networkSchema, type Host, type Network } from './hosts.js';

const count = z.int().positive();

export const gatherPolicy = z.union([
  z.object({ type: z.literal('lockstep') }),
  z.object({ type: z.literal('layer') }),
  z.object({ type: z.literal('window'), windowUs: z.int().nonnegative() }),
]);

export const emulatedLink = z
  .object({
    latencyUs: z.number().nonnegative().max(60_000_000),
    jitterUs: z.number().nonnegative().max(60_000_000).exactOptional(),
    gigabitsPerSecond: z.number().positive().exactOptional(),
    seed: z.int().exactOptional(),
  })
  .strict();

/** What `LLM.load` accepts. Everything has a default; see `resolveOptions` for those that depend on the model. */
export const llmOptionsSchema = z
  .object({
    /** What clients call the model. Default: the directory's name. */
    name: z.string().min(1).optional(),
    /** Both halves in one worker, no transport: the baseline. Default false. */
    colocated: z.boolean().default(false),
    /** M, 1–64. */
    attentionWorkers: count.max(64).default(1),
    /** N, 1–256; at most the number of experts. */
    expertWorkers: count.max(256).default(1),
    /** Workers that hold each expert, at most N: memory for balance. Default 1. */
    expertReplicas: count.max(256).default(1),
    /** An expert's rows of a micro-batch are split over the workers that hold it, in parts of at least so many. */
    splitRowsMin: count.max(65_536).default(defaultSplitRowsMin),
    /** Experts move between the workers, and are held more than once, by what recent traffic asks of them. Default: they stay. */
    rebalance: rebalanceSchema.optional(),
    /** Where a trace of expert loads is written (docs/expert-placement.md). It is replaced. Default: nowhere. */
    expertLoadFile: z.string().min(1).optional(),
    /** Bytes after which the trace ends. */
    expertLoadBytesMax: count.default(1 << 28),
    /** How often attention workers tell their expert loads, where these are recorded or balanced. */
    expertLoadWindowMs: count.max(3_600_000).default(1000),
    /**
     * m, 1–8: micro-batches in flight. Default: 2; colocated 1, where nothing overlaps. 'auto' chooses, up to `microBatchesMax`, by what the
     * halves and the link are measured to take; where the pools take turns (gather 'layer') there is nothing to choose.
     */
    microBatches: z.union([count.max(8), z.literal('auto')]).optional(),
    /** The most that 'auto' chooses, 1–8. Each takes slots for a whole step. */
    microBatchesMax: count.max(8).default(4),
    /** Starts a step while later micro-batches of the one before still sample. Changes no token. Default true; of no use when colocated. */
    overlapSteps: z.boolean().default(true),
    backend: z.string().default('cpu'),
    /** Settings that one backend knows: of 'null', how long its stages take (`NullTimes`). */
    backendSettings: z.record(z.string(), z.number()).default({}),
    transport: z.string().default('shm'),
    /** Who runs in a step: a name, a file (.js, .ts), or a package that exports `plugin`. */
    policy: z.string().default('fcfs'),
    /** A policy of your own that takes longer for one plan is not asked again; fcfs takes its place. */
    policyTimeMs: count.max(60_000).default(50),
    /** Time to the first token, and from one token to the next, that requests want which name none. Only some policies look at it. */
    ttftTargetMs: z.number().positive().exactOptional(),
    tpotTargetMs: z.number().positive().exactOptional(),
    /** Sequences that begin with the same tokens share the pages of them. Changes no token. */
    prefixSharing: z.boolean().default(true),
    /**
     * By what newcomers are placed on attention workers. 'time': who would be done soonest, by what its attention was measured to take, a shared prefix taken off.
     * 'tokens': who has the fewest tokens to compute, for comparison.
     */
    placeBy: z.enum(['time', 'tokens']).default('time'),
    /**
     * Compute threads of each worker. Default: the two pools take turns, so each has all cores, divided by its workers; with another
     * gather than 'layer' they do not, and the cores are divided by all workers. At least 1.
     */
    threads: count.max(1024).optional(),
    /** Binds each compute thread to a core. Default: where the threads of each pool fill the machine and the pools do not overlap. */
    bindThreads: z.boolean().optional(),
    /** Kernel variant; default: the best this machine has. */
    isa: z.string().optional(),
    /** Tokens per KV page, a multiple of 16. */
    kvPageSize: count.multipleOf(16).default(16),
    /** What keys and values are kept as: 'int8' holds about twice the tokens and rounds each once, when it is appended. */
    kvCacheDtype: z.enum(['bf16', 'int8']).default('bf16'),
    /** Pages of each attention worker. Default: what `kvMemoryBytes` holds, and no more than `maxNumSeqs` full contexts. */
    kvPages: count.optional(),
    kvMemoryBytes: count.default(1 << 30),
    /** Prompt and output tokens of one sequence. Default: what the model was made for, as far as the pages reach. */
    maxModelLen: count.optional(),
    /** Sequences of one attention worker that may run at once. */
    maxNumSeqs: count.default(256),
    /** Prefill and decode tokens of one step. */
    maxNumBatchedTokens: count.default(512),
    /** Prompt tokens of one sequence in one step. */
    prefillChunkTokens: count.default(256),
    /** Sequences that may wait at one attention worker; beyond that, requests are refused (429). */
    maxQueuedRequests: count.default(1024),
    /** A peer that owes an answer and is silent for longer is lost. */
    peerTimeoutMs: count.default(10_000),
    /** How long a wait for a peer spins before it parks. Default: 100 with bound threads, else 50, or 0 where threads outnumber cores. */
    spinUs: z.int().nonnegative().optional(),
    /** When an expert worker starts. Default: 'layer' where the workers' threads outnumber the cores, else 'lockstep'. */
    gather: gatherPolicy.optional(),
    /**
     * Who sums a token's answers. 'expert' sends one row per (token, expert worker) instead of one per (token, expert); the last bits then
     * depend on N. Default 'attention'.
     */
    combine: z.enum(['attention', 'expert']).default('attention'),
    /** Where the workers run. Default: all of them here. */
    hosts: z.array(hostSchema).max(1024).default([]),
    /** For transports that reach other hosts. */
    network: networkSchema.default({}),
    /** Makes the link between the pools look slower than it is: for benchmarks and tests on one machine. */
    emulatedLink: emulatedLink.optional(),
    /** Newest events that each worker's flight recorder keeps; 0 turns it off. */
    recorderEvents: z
      .int()
      .nonnegative()
      .max(1 << 20)
      .default(16_384),
    /** What each expert worker reads per second, at most, while experts are moved and it serves. Default 256 MiB. */
    moveBytesPerSecond: count.default(256 << 20),
    /** Restarts of the workers after a loss, before the engine gives up. */
    restartsMax: z.int().nonnegative().default(3),
  })
  .strict();

export type LlmOptions = z.input<typeof llmOptionsSchema>;
export type ParsedOptions = z.output<typeof llmOptionsSchema>;

/** Everything a worker needs to know, as plain data. */
export interface EngineConfig {
  readonly colocated: boolean;
  readonly attentionWorkers: number;
  readonly expertWorkers: number;
  readonly expertReplicas: number;
  readonly microBatches: number;
  /** `microBatches` are those there are slots for, and m is chosen. */
  readonly chooseMicroBatches: boolean;
  readonly overlapSteps: boolean;
  readonly backend: string;
  readonly backendSettings: Readonly<Record<string, number>>;
  readonly transport: string;
  readonly policy: string;
  readonly policyTimeMs: number;
  readonly ttftTargetMs?: number | undefined;
  readonly tpotTargetMs?: number | undefined;
  readonly prefixSharing: boolean;
  readonly placeBy: 'time' | 'tokens';
  /** Compute threads of each attention worker, and of each expert worker. */
  readonly attentionThreads: number;
  readonly expertThreads: number;
  readonly isa: string | undefined;
  readonly kvPageSize: number;
  readonly kvCacheDtype: KvCacheDtype;
  readonly kvPages: number;
  readonly maxModelLen: number;
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
  readonly tokensPerMicroBatchMax: number;
  readonly prefillChunkTokens: number;
  readonly maxQueuedRequests: number;
  readonly peerTimeoutMs: number;
  readonly spinUs: number;
  /** Compute threads are bound to cores, and a wait gives way to the other threads there. */
  readonly bindThreads: boolean;
  readonly gather: GatherPolicy;
  readonly combine: 'attention' | 'expert';
  readonly hosts: readonly Host[];
  readonly network: Network;
  readonly emulatedLink: EmulatedLink | undefined;
  readonly recorderEvents: number;
  readonly moveBytesPerSecond: number;
  /** 0: expert loads are not counted. */
  readonly expertLoadWindowMs: number;
  readonly splitRowsMin: number;
}

/** @throws ConfigError 'ERR_CONFIG_FIELD' naming the option, what was found and what is allowed. */
export function parseOptions(options: LlmOptions): ParsedOptions {
  const result = llmOptionsSchema.safeParse(options, { reportInput: true });
  if (result.success) {
    if (result.data.colocated && result.data.emulatedLink !== undefined) throw linkWithoutPools();
    return result.data;
  }
  const issue = result.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Option ${path || '(unknown)'}: ${issue?.message ?? 'invalid'}${found(path, issue?.input)}.`,
    details: {
      path,
      issues: result.error.issues.map(({ code, path: at, message }) => ({
        code,
        path: at,
        message,
      })),
    },
  });
}

/** ' (found …)', without keys: messages are logged. */
function found(path: string, input: unknown): string {
  const secret = 'preSharedKey';
  if (input === undefined || path.endsWith(secret)) return '';
  const hide = (name: string, value: unknown): unknown => (name === secret ? '…' : value);
  return ` (found ${JSON.stringify(input, hide)})`;
}

function linkWithoutPools(): ConfigError {
  return new ConfigError('ERR_CONFIG_FIELD', {
    message:
      'Option emulatedLink: a colocated deployment has no link between its pools. Leave out one of the two.',
    details: { path: 'emulatedLink' },
  });
}

/** Fills in what depends on the model and on the machine. */
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
    colocated: options.colocated,
    attentionWorkers: options.attentionWorkers,
    expertWorkers: options.expertWorkers,
    expertReplicas: options.expertReplicas,
    microBatches,
    chooseMicroBatches,
    overlapSteps: options.overlapSteps && !options.colocated,
    backend: options.backend,
    backendSettings: options.backendSettings,
    transport: options.transport,
    policy: policySpecifier(options.policy),
    policyTimeMs: options.policyTimeMs,
    ttftTargetMs: options.ttftTargetMs,
    tpotTargetMs: options.tpotTargetMs,
    prefixSharing: options.prefixSharing,
    placeBy: options.placeBy,
    isa: options.isa,
    kvPageSize: options.kvPageSize,
    kvCacheDtype: options.kvCacheDtype,
    kvPages,
    maxModelLen,
    maxNumSeqs: Math.min(options.maxNumSeqs, maxNumBatchedTokens),
    maxNumBatchedTokens,
    // With m = 1 a whole step is one micro-batch.
    tokensPerMicroBatchMax: chooseMicroBatches
      ? maxNumBatchedTokens
      : Math.ceil(maxNumBatchedTokens / microBatches),
    prefillChunkTokens: options.prefillChunkTokens,
    maxQueuedRequests: options.maxQueuedRequests,
    peerTimeoutMs: options.peerTimeoutMs,
    combine: options.combine,
    hosts: options.hosts,
    network: options.network,
    emulatedLink: options.emulatedLink,
    recorderEvents: options.recorderEvents,
    moveBytesPerSecond: options.moveBytesPerSecond,
    expertLoadWindowMs: loadWindowMs(options),
    splitRowsMin: options.splitRowsMin,
    ...shares,
  };
}

function loadWindowMs({
  rebalance,
  expertLoadFile,
  expertLoadWindowMs,
}: Pick<ParsedOptions, 'rebalance' | 'expertLoadFile' | 'expertLoadWindowMs'>): number {
  if (rebalance === undefined && expertLoadFile === undefined) return 0;
  return Math.min(expertLoadWindowMs, rebalance?.intervalMs ?? expertLoadWindowMs);
}

/**
 * How the workers share this machine's cores. On one machine both pools draw on the same cores and the same memory, so overlapping
 * them gains nothing: they take turns, a layer's experts serve all its micro-batches at once, and each pool has all cores.
 */
export function shareCores(options: ParsedOptions, cores: number): CoreShares {
  return options.hosts.length > 1
    ? shareCoresOfHosts(options, cores)
    : shareCoresOfOne(options, cores);
}

type CoreShares = Pick<
  EngineConfig,
  'attentionThreads' | 'expertThreads' | 'spinUs' | 'bindThreads' | 'gather'
>;

/** Every host is taken to have as many cores as this one, and divides them by its workers: the pools work at the same time. */
function shareCoresOfHosts(options: ParsedOptions, cores: number): CoreShares {
  const threadsOf = (role: 'attention' | 'expert'): number => {
    const workers = options.hosts
      .filter((host) => host[role].length > 0)
      .map(({ attention, expert }) => attention.length + expert.length);
    return options.threads ?? Math.max(1, Math.floor(cores / Math.max(1, ...workers)));
  };
  return {
    attentionThreads: threadsOf('attention'),
    expertThreads: threadsOf('expert'),
    spinUs: options.spinUs ?? 50,
    bindThreads: options.bindThreads ?? false,
    gather: options.gather ?? { type: 'lockstep' },
  };
}

function shareCoresOfOne(
  { attentionWorkers, expertWorkers, ...options }: ParsedOptions,
  cores: number,
): CoreShares {
  const expertProcesses = options.colocated ? 0 : expertWorkers;
  const takeTurns = (options.gather?.type ?? 'layer') === 'layer';
  const threadsOf = (workers: number): number =>
    options.threads ?? Math.max(1, Math.floor(cores / workers));
  const all = attentionWorkers + expertProcesses;
  const attentionThreads = threadsOf(takeTurns ? attentionWorkers : all);
  const expertThreads = threadsOf(takeTurns ? expertWorkers : all);
  const attentionPool = attentionWorkers * attentionThreads;
  const expertPool = expertProcesses * expertThreads;
  const outnumber = attentionPool + expertPool > cores;
  const gather = options.gather ?? { type: outnumber ? 'layer' : 'lockstep' };
  // Threads of a pool that leaves cores idle are better placed by the system.
  const fill = Math.min(attentionPool, expertPool) >= cores;
  const bindThreads = options.bindThreads ?? (takeTurns && fill);
  const spinUs = options.spinUs ?? (bindThreads ? 100 : outnumber ? 0 : 50);
  return { attentionThreads, expertThreads, spinUs, bindThreads, gather };
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
  // A key or a value of one head on `cpu`: two bytes an element, or one and a scale; the reference backend takes more.
  const headBytes = options.kvCacheDtype === 'int8' ? sizes.headSize + 4 : 2 * sizes.headSize;
  const tokenBytes = 2 * sizes.layerCount * sizes.kvHeadCount * headBytes;
  const pagesOf = (tokens: number): number => Math.ceil(tokens / kvPageSize);
  const wanted = Math.min(options.maxModelLen ?? sizes.positionsMax, sizes.positionsMax);
  const affordable = Math.max(1, Math.floor(options.kvMemoryBytes / (tokenBytes * kvPageSize)));
  const kvPages = options.kvPages ?? Math.min(affordable, maxNumSeqs * pagesOf(wanted));
  return { kvPages, maxModelLen: Math.min(wanted, kvPages * kvPageSize) };
}
