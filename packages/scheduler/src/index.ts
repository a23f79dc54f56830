/** @megascale/scheduler: when. Sequences, batching, KV pages, policies and the ping-pong order; no backend, no transport. */
export * from './admission.js';
export * from './batcher.js';
export type { BatcherOptions } from './batcher-options.js';
export * from './bounded-queue.js';
export * from './kv/page-pool.js';
export * from './micro-batches.js';
export * from './pipeline/ping-pong.js';
export * from './plugin.js';
export * from './policies/first-come.js';
export * from './sequence.js';
export type { EmittedToken, Step, StepOutcome } from './step.js';
export * from './validate-plan.js';
