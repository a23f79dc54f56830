import { z } from 'zod';
import { hostSchema, networkSchema } from './hosts.js';
import { emulatedLink, gatherPolicy } from './options.js';

/**
 * What the coordinator and the workers say to each other: one union by `type`, noun then verb. Checked on arrival, on
 * both sides. Within a worker, the main thread passes the same messages on to its data thread.
 */
export const protocolVersion = 1;

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

const engineConfig = z.object({
  colocated: z.boolean(),
  attentionWorkers: index,
  expertWorkers: index,
  expertReplicas: index,
  microBatches: index,
  backend: z.string(),
  transport: z.string(),
  policy: z.string(),
  attentionThreads: index,
  expertThreads: index,
  isa: z.string().optional(),
  kvPageSize: index,
  kvDType: z.enum(['bf16', 'int8']),
  kvPages: index,
  contextTokensMax: index,
  runningMax: index,
  tokensPerStepMax: index,
  tokensPerMicroBatchMax: index,
  prefillChunkTokens: index,
  waitingMax: index,
  peerTimeoutMs: index,
  spinUs: index,
  bindThreads: z.boolean(),
  gather: gatherPolicy,
  combine: z.enum(['attention', 'expert']),
  hosts: z.array(hostSchema).readonly(),
  network: networkSchema,
  emulatedLink: emulatedLink.optional(),
});

export const workerRole = z.enum(['attention', 'expert']);
export type WorkerRole = z.infer<typeof workerRole>;

const admission = z.object({
  id: index,
  promptTokenIds: z.array(index),
  maxTokens: index,
  /** Tokens that end the sequence. Empty where the request ignores them. */
  endTokenIds: z.array(index),
  sampling,
  /** Alternatives whose log-probabilities are wanted; absent: no log-probabilities. */
  logprobs: index.optional(),
});
export type Admission = z.infer<typeof admission>;

/** Coordinator → worker. */
export const coordinatorMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('worker-start'),
    version: z.literal(protocolVersion),
    role: workerRole,
    rank: index,
    modelDirectory: z.string(),
    config: engineConfig,
  }),
  /** Everyone's address, by rank: the answer to 'worker-reachable'. */
  z.object({
    type: z.literal('addresses-known'),
    attention: z.array(z.string()),
    expert: z.array(z.string()),
  }),
  /** What was submitted together comes together: it can start in one step. */
  z.object({ type: z.literal('sequences-admitted'), sequences: z.array(admission) }),
  z.object({ type: z.literal('sequence-cancelled'), id: index }),
  /** A peer is gone: waits for it must end. */
  z.object({ type: z.literal('peer-lost'), role: workerRole, rank: index }),
  /** Answered by 'profile-taken'; from then on the next `recordsMax` ops are recorded anew. */
  z.object({ type: z.literal('profile-requested'), recordsMax: index }),
  z.object({ type: z.literal('worker-stop') }),
]);
export type CoordinatorMessage = z.infer<typeof coordinatorMessage>;
export type WorkerStart = Extract<CoordinatorMessage, { type: 'worker-start' }>;

const generatedToken = z.object({
  sequence: index,
  id: index,
  logprob: z.number().optional(),
  top: z.array(z.object({ id: index, logprob: z.number() })).optional(),
  /** Present on a sequence's last token. */
  finished: z.enum(['stop', 'length']).optional(),
});
export type GeneratedToken = z.infer<typeof generatedToken>;

const workerStats = z.object({
  sequencesWaiting: index,
  sequencesRunning: index,
  kvPagesFree: index,
  preemptions: index,
  steps: index,
  totalUs: z.number(),
  computeUs: z.number(),
  waitUs: z.number(),
  dispatchUs: z.number(),
  samplingUs: z.number(),
  halfLayers: index,
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

/** Worker → coordinator. */
export const workerMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('worker-reachable'), address: z.string() }),
  z.object({
    type: z.literal('worker-ready'),
    backend: z.string(),
    isa: z.string(),
  }),
  /** All tokens of one step, and the worker's numbers after it. Also sent without tokens when only the numbers changed. */
  z.object({
    type: z.literal('tokens-generated'),
    tokens: z.array(generatedToken),
    stats: workerStats,
  }),
  z.object({ type: z.literal('sequence-failed'), id: index, error: serializedError }),
  z.object({
    type: z.literal('profile-taken'),
    stages: z.array(stageTaken),
    steps: z.array(stepRecord),
  }),
  z.object({ type: z.literal('worker-failed'), error: serializedError }),
]);
export type WorkerMessage = z.infer<typeof workerMessage>;
