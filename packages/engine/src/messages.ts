import { z } from 'zod';

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

const gather = z.union([
  z.object({ type: z.literal('lockstep') }),
  z.object({ type: z.literal('window'), windowUs: z.number() }),
]);

const engineConfig = z.object({
  colocated: z.boolean(),
  attentionWorkers: index,
  expertWorkers: index,
  microBatches: index,
  backend: z.string(),
  transport: z.string(),
  policy: z.string(),
  threads: index,
  isa: z.string().optional(),
  kvPageSize: index,
  kvPages: index,
  contextTokensMax: index,
  runningMax: index,
  tokensPerStepMax: index,
  tokensPerMicroBatchMax: index,
  prefillChunkTokens: index,
  waitingMax: index,
  peerTimeoutMs: index,
  spinUs: index,
  gather,
});

export const workerRole = z.enum(['attention', 'expert']);
export type WorkerRole = z.infer<typeof workerRole>;

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
  z.object({
    type: z.literal('sequence-admitted'),
    id: index,
    promptTokenIds: z.array(index),
    maxTokens: index,
    /** Tokens that end the sequence. Empty where the request ignores them. */
    endTokenIds: z.array(index),
    sampling,
    /** Alternatives whose log-probabilities are wanted; absent: no log-probabilities. */
    logprobs: index.optional(),
  }),
  z.object({ type: z.literal('sequence-cancelled'), id: index }),
  /** A peer is gone: waits for it must end. */
  z.object({ type: z.literal('peer-lost'), role: workerRole, rank: index }),
  z.object({ type: z.literal('worker-stop') }),
]);
export type CoordinatorMessage = z.infer<typeof coordinatorMessage>;
export type SequenceAdmitted = Extract<CoordinatorMessage, { type: 'sequence-admitted' }>;
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
  z.object({ type: z.literal('worker-failed'), error: serializedError }),
]);
export type WorkerMessage = z.infer<typeof workerMessage>;
