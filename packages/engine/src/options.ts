import { availableParallelism } from 'node:os';
import {
  ConfigError,
  type EmulatedLink,
  type GatherPolicy,
  type KvDType,
  type ModelSizes,
} from '@megascale/core';
import { z } from 'zod';
import { evenPlacement } from './placement.js';
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
    /** m, 1–8: micro-batches in flight. Default: 2; colocated 1, where nothing overlaps. */
    microBatches: count.max(8).optional(),
    backend: z.string().default('cpu'),
    transport: z.string().default('shm'),
    policy: z.string().default('first-come'),
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
    kvDType: z.enum(['bf16', 'int8']).default('bf16'),
    /** Pages of each attention worker. Default: what `kvMemoryBytes` holds, and no more than `runningMax` full contexts. */
    kvPages: count.optional(),
    kvMemoryBytes: count.default(1 << 30),
    /** Prompt and output tokens of one sequence. Default: what the model was made for, as far as the pages reach. */
    contextTokensMax: count.optional(),
    /** Sequences of one attention worker that may run at once. */
    runningMax: count.default(256),
    /** Prefill and decode tokens of one step. */
    tokensPerStepMax: count.default(512),
    /** Prompt tokens of one sequence in one step. */
    prefillChunkTokens: count.default(256),
    /** Sequences that may wait at one attention worker; beyond that, requests are refused (429). */
    waitingMax: count.default(1024),
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
    /** Restarts of the workers after a loss, before the engine gives up. */
    restartsMax: z.int().nonnegative().default(3),
  })
  .strict();

export type LlmOptions = z.input<typeof llmOptionsSchema>;
type ParsedOptions = z.output<typeof llmOptionsSchema>;

/** Everything a worker needs to know, as plain data. */
export interface EngineConfig {
  readonly colocated: boolean;
  readonly attentionWorkers: number;
  readonly expertWorkers: number;
  readonly expertReplicas: number;
  readonly microBatches: number;
  readonly backend: string;
  readonly transport: string;
  readonly policy: string;
  /** Compute threads of each attention worker, and of each expert worker. */
  readonly attentionThreads: number;
  readonly expertThreads: number;
  readonly isa: string | undefined;
  readonly kvPageSize: number;
  readonly kvDType: KvDType;
  readonly kvPages: number;
  readonly contextTokensMax: number;
  readonly runningMax: number;
  readonly tokensPerStepMax: number;
  readonly tokensPerMicroBatchMax: number;
  readonly prefillChunkTokens: number;
  readonly waitingMax: number;
  readonly peerTimeoutMs: number;
  readonly spinUs: number;
  /** Compute threads are bound to cores, and a wait gives way to the other threads there. */
  readonly bindThreads: boolean;
  readonly gather: GatherPolicy;
  readonly combine: 'attention' | 'expert';
  readonly hosts: readonly Host[];
  readonly network: Network;
  readonly emulatedLink: EmulatedLink | undefined;
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
  const microBatches = options.microBatches ?? (options.colocated ? 1 : 2);
  checkHosts(options.hosts, options, options.transport);
  if (!options.colocated) checkExperts(options, sizes);
  const { kvPages, contextTokensMax } = resolveMemory(options, sizes);
  const tokensPerStepMax = Math.max(options.tokensPerStepMax, microBatches);
  return {
    colocated: options.colocated,
    attentionWorkers: options.attentionWorkers,
    expertWorkers: options.expertWorkers,
    expertReplicas: options.expertReplicas,
    microBatches,
    backend: options.backend,
    transport: options.transport,
    policy: options.policy,
    isa: options.isa,
    kvPageSize: options.kvPageSize,
    kvDType: options.kvDType,
    kvPages,
    contextTokensMax,
    runningMax: Math.min(options.runningMax, tokensPerStepMax),
    tokensPerStepMax,
    tokensPerMicroBatchMax: Math.ceil(tokensPerStepMax / microBatches),
    prefillChunkTokens: options.prefillChunkTokens,
    waitingMax: options.waitingMax,
    peerTimeoutMs: options.peerTimeoutMs,
    combine: options.combine,
    hosts: options.hosts,
    network: options.network,
    emulatedLink: options.emulatedLink,
    ...shareCores(options, availableParallelism()),
  };
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
  evenPlacement(expertCount, expertWorkers, expertReplicas);
  if (combine === 'attention' || expertReplicas === 1) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Option combine: 'expert' with ${String(expertReplicas)} replicas of every expert. Which replicas share a sum would depend on the other rows of the micro-batch, and so would a request's tokens. Leave out one of the two.`,
    details: { path: 'combine', expertReplicas },
  });
}

function resolveMemory(
  options: ParsedOptions,
  sizes: ModelSizes,
): { kvPages: number; contextTokensMax: number } {
  const { kvPageSize, runningMax } = options;
  // A key or a value of one head on `cpu`: two bytes an element, or one and a scale; the reference backend takes more.
  const headBytes = options.kvDType === 'int8' ? sizes.headSize + 4 : 2 * sizes.headSize;
  const tokenBytes = 2 * sizes.layerCount * sizes.kvHeadCount * headBytes;
  const pagesOf = (tokens: number): number => Math.ceil(tokens / kvPageSize);
  const wanted = Math.min(options.contextTokensMax ?? sizes.positionsMax, sizes.positionsMax);
  const affordable = Math.max(1, Math.floor(options.kvMemoryBytes / (tokenBytes * kvPageSize)));
  const kvPages = options.kvPages ?? Math.min(affordable, runningMax * pagesOf(wanted));
  return { kvPages, contextTokensMax: Math.min(wanted, kvPages * kvPageSize) };
}
