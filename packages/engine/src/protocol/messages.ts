import { z } from 'zod';
import { engineConfigSchema } from '../config/engine-config.js';
import { placementReplies, placementEpoch, placementOrders } from './placement-messages.js';
import { workerRole } from './worker-role.js';

/**
 * The messages between coordinator and workers: one union by `type`, noun then verb. Both sides
 * check what arrives. Within a worker, the main thread passes the same messages on to its data
 * thread.
 */
export const protocolVersion = 2;

const index = z.int().nonnegative();

const serializedError = z.object({
  name: z.string(),
  code: z.string().optional(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});

const sampling = z.object({
  temperature: z.number(),
  topK: z.int(),
  topP: z.number(),
  minP: z.number(),
  seed: z.int(),
});

const admission = z.object({
  id: index,
  promptTokenIds: z.array(index),
  maxTokens: index,
  /** Tokens that end the sequence. Empty where the request ignores them. */
  endTokenIds: z.array(index),
  sampling,
  /** How many alternatives get a log-probability. Absent: no log-probabilities. */
  logprobs: index.optional(),
  priority: z.int().optional(),
  tenant: z.string().optional(),
  ttftTargetMs: z.number().optional(),
  tpotTargetMs: z.number().optional(),
  /** By the coordinator's clock. */
  submittedUs: z.number(),
});
export type Admission = z.infer<typeof admission>;

const expertTimes = { runUs: z.number(), fixedUs: z.number() };

/** Coordinator → worker. */
export const coordinatorMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('worker-start'),
    version: z.literal(protocolVersion),
    role: workerRole,
    rank: index,
    modelDirectory: z.string(),
    config: engineConfigSchema,
    placement: placementEpoch,
  }),
  /** The addresses of all workers by rank: the reply to 'worker-reachable'. */
  z.object({
    type: z.literal('addresses-known'),
    attention: z.array(z.string()),
    expert: z.array(z.string()),
  }),
  /** Sequences that were submitted together, so that they can start in one step. */
  z.object({ type: z.literal('sequences-admitted'), sequences: z.array(admission) }),
  z.object({ type: z.literal('sequence-cancelled'), id: index }),
  /** A worker was lost: waits for it must end. */
  z.object({ type: z.literal('peer-lost'), role: workerRole, rank: index }),
  /** The worker replies 'profile-taken', and records its next `recordsMax` ops anew. */
  z.object({ type: z.literal('profile-requested'), recordsMax: index }),
  /** The worker replies 'recording-taken' with the newest events of its flight recorder. */
  z.object({ type: z.literal('recording-requested') }),
  /** The worker replies 'clock-read' at once. */
  z.object({ type: z.literal('clock-requested'), sentUs: z.number() }),
  /** What the runs of an expert worker take, for attention workers that choose m. */
  z.object({ type: z.literal('experts-timed'), rank: index, ...expertTimes }),
  ...placementOrders,
  z.object({ type: z.literal('worker-stop') }),
]);
export type CoordinatorMessage = z.infer<typeof coordinatorMessage>;
export type WorkerStart = Extract<CoordinatorMessage, { type: 'worker-start' }>;

const workerAccount = z.object({
  queueUs: z.number(),
  attentionUs: z.number(),
  dispatchUs: z.number(),
  expertsUs: z.number(),
  combineUs: z.number(),
  samplingUs: z.number(),
  planningUs: z.number(),
  pausedUs: z.number(),
  steps: index,
  expertRows: z.array(index).readonly(),
});

const generatedToken = z.object({
  sequence: index,
  id: index,
  logprob: z.number().optional(),
  top: z.array(z.object({ id: index, logprob: z.number() })).optional(),
  /**
   * On a sequence's first token: prompt tokens whose keys and values were there already (prefix
   * cache hits).
   */
  cached: index.optional(),
  /** Present on a sequence's last token. */
  finished: z.enum(['stop', 'length']).optional(),
  account: workerAccount.optional(),
});
export type GeneratedToken = z.infer<typeof generatedToken>;

const workerStats = z.object({
  sequencesWaiting: index,
  sequencesRunning: index,
  kvPagesFree: index,
  preemptions: index,
  /** m */
  microBatches: index,
  kvPagesCached: index,
  cachedPromptTokens: index,
  computedTokens: index,
  /** Steps that the policy failed to plan, and the fallback policy planned. */
  policyErrors: index,
  steps: index,
  totalUs: z.number(),
  computeUs: z.number(),
  combineUs: z.number(),
  expertUs: z.number(),
  waitUs: z.number(),
  dispatchUs: z.number(),
  samplingUs: z.number(),
  halfLayers: index,
  /**
   * What the attention stage takes for one micro-batch in one layer; absent until enough was
   * measured.
   */
  attentionCost: z
    .object({ fixedUs: z.number(), tokenUs: z.number(), contextTokenUs: z.number() })
    .optional(),
});
export type WorkerStats = z.infer<typeof workerStats>;

const opWork = { weightBytes: z.number(), kvBytes: z.number(), flops: z.number() };
const stageTaken = z.object({
  stage: z.enum(['attention', 'expert']),
  totals: z.object({
    ops: z.array(z.object({ op: z.string(), calls: index, timeUs: z.number(), ...opWork })),
    weightBytes: z.number(),
    kvBytes: z.number(),
  }),
  records: z.array(
    z.object({
      op: z.string(),
      layer: z.int(),
      microBatch: z.int(),
      startUs: z.number(),
      endUs: z.number(),
      ...opWork,
    }),
  ),
  recordsLost: index,
});

const stepRecord = z.object({
  startUs: z.number(),
  endUs: z.number(),
  /** Sequences that got a token, and sequences in the step. */
  outputTokens: index,
  tokens: index,
  computeUs: z.number(),
  waitUs: z.number(),
  dispatchUs: z.number(),
  samplingUs: z.number(),
});

const recording = z.object({
  kinds: z.array(index).readonly(),
  startUs: z.array(z.number()).readonly(),
  endUs: z.array(z.number()).readonly(),
  layers: z.array(z.int()).readonly(),
  microBatches: z.array(z.int()).readonly(),
  sizes: z.array(index).readonly(),
  lost: index,
});

/** Worker → coordinator. */
export const workerMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('worker-reachable'), address: z.string() }),
  z.object({
    type: z.literal('worker-ready'),
    backend: z.string(),
    isa: z.string(),
  }),
  /**
   * All tokens of one step and the worker's numbers after it; without tokens when only the numbers
   * changed.
   */
  z.object({
    type: z.literal('tokens-generated'),
    tokens: z.array(generatedToken),
    stats: workerStats,
  }),
  /** The policy failed with an error that it has not had before. */
  z.object({ type: z.literal('policy-failed'), error: serializedError }),
  z.object({ type: z.literal('sequence-failed'), id: index, error: serializedError }),
  z.object({
    type: z.literal('profile-taken'),
    stages: z.array(stageTaken),
    steps: z.array(stepRecord),
  }),
  z.object({ type: z.literal('recording-taken'), recording }),
  /** The worker's clock, and when the coordinator sent its request. */
  z.object({ type: z.literal('clock-read'), sentUs: z.number(), workerUs: z.number() }),
  z.object({ type: z.literal('experts-timed'), ...expertTimes }),
  ...placementReplies,
  /** Rows per expert of one attention worker since its last message: [layers, experts]. */
  z.object({
    type: z.literal('expert-load-counted'),
    durationUs: index,
    dispatches: index,
    rows: z.instanceof(Int32Array),
  }),
  z.object({ type: z.literal('worker-failed'), error: serializedError }),
]);
export type WorkerMessage = z.infer<typeof workerMessage>;
