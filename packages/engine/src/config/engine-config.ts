import { z } from 'zod';
import { hostSchema, networkSchema } from './hosts.js';
import { llmOptionsSchema } from './options.js';
import { gatherPolicy } from './transport-options.js';

const index = z.int().nonnegative();

/** Options that only the coordinator reads, or that `resolveOptions` replaces by others. */
export const coordinatorOptions = {
  name: true,
  expertLoadBytesMax: true,
  expertLoadFile: true,
  kvMemoryBytes: true,
  microBatchesMax: true,
  rebalance: true,
  restartsMax: true,
  threads: true,
} as const satisfies Partial<Record<keyof typeof llmOptionsSchema.shape, true>>;

/**
 * What each worker needs to know, as its start message carries it: the options, with all that was
 * resolved.
 */
export const engineConfigSchema = llmOptionsSchema.omit(coordinatorOptions).extend({
  hosts: z.array(hostSchema).readonly(),
  network: networkSchema,
  gather: gatherPolicy,
  kvPages: index,
  maxModelLen: index,
  microBatches: index,
  /** `microBatches` are those that slots exist for, and the attention workers choose m. */
  chooseMicroBatches: z.boolean(),
  tokensPerMicroBatchMax: index,
  /** Compute threads of each attention worker, and of each expert worker. */
  attentionThreads: index,
  expertThreads: index,
  /** Compute threads are bound to cores, and a wait gives way to the other threads there. */
  bindThreads: z.boolean(),
  spinUs: index,
  /** 0: expert loads are not counted. */
  expertLoadWindowMs: index,
});

export type EngineConfig = Readonly<z.output<typeof engineConfigSchema>>;
