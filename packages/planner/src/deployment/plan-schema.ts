import { z } from 'zod';

const count = z.int().min(1).max(1_000_000);
const amount = z.number().nonnegative().max(1e18);
const name = z.string().min(1).max(200);
const pool = z.strictObject({
  accelerator: name,
  /** Accelerators of one worker. */
  tensorParallel: count,
  workers: count,
  /** Machines, when each has its usual number of accelerators. */
  machines: count,
});

/**
 * What `megascale plan --out` writes, `megascale serve --plan` reads, and manifests can be rendered
 * from.
 */
export const planSchema = z.strictObject({
  kind: z.literal('megascale-plan'),
  version: z.literal(1),
  model: z.strictObject({
    name,
    layerCount: count,
    hiddenSize: count,
    expertCount: count,
    topK: count,
  }),
  traffic: z.strictObject({ inputTokens: amount, outputTokens: amount }),
  slo: z.strictObject({ tpotMs: amount, ttftMs: amount.optional() }),
  deployment: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('disaggregated'),
      attention: pool,
      expert: pool.extend({ expertsPerWorker: count, replicas: count }),
      microBatchCount: z.int().min(1).max(8),
    }),
    z.strictObject({
      kind: z.literal('colocated'),
      parallelism: z.enum(['tensor', 'expert']),
      pool,
      pipelineParallel: count,
      microBatchCount: z.int().min(1).max(8),
    }),
  ]),
  predicted: z.strictObject({
    batch: count,
    tpotMs: amount,
    tokensPerSecond: amount,
    accelerators: count,
    price: amount,
    watts: amount,
    attentionTimeUs: amount,
    expertTimeUs: amount,
    transferTimeUs: amount,
  }),
  prefill: z.strictObject({ pool, prompts: count, ttftMs: amount }).optional(),
  /**
   * Flags of `megascale serve` that run this topology; its backend decides what an accelerator is.
   */
  serve: z.strictObject({
    colocated: z.boolean(),
    attentionWorkers: z.int().min(1).max(64),
    expertWorkers: z.int().min(1).max(256),
    expertReplicas: z.int().min(1).max(256),
    microBatches: z.int().min(1).max(8),
    transport: z.enum(['shm', 'tcp', 'fabric']),
  }),
  /** Where running it with `serve` differs from the plan. */
  notes: z.array(z.string().max(1000)).max(16),
  reasons: z.array(z.string().max(2000)).max(16),
});

export type PlanFile = Readonly<z.output<typeof planSchema>>;
