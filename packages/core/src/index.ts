/** @megascale/core: the words. Interfaces, the model graph, families, weights, text, sampling, the reference backend. */
export * from './clock.js';
export * from './errors.js';
export { createNativeLoader } from './native/create-native-loader.js';
export { presentFields } from './present-fields.js';
export * from './spec/backend.js';
export * from './spec/machine-bounds.js';
export * from './spec/model-family.js';
export * from './spec/plugin.js';
export * from './spec/profile.js';
export * from './spec/region.js';
export * from './spec/scheduler-policy.js';
export * from './spec/transport.js';
export * from './spec/units.js';
export * from './spec/weight-source.js';
export * from './graph/builder.js';
export * from './graph/node-values.js';
export * from './graph/ops.js';
export * from './graph/partition.js';
export * from './families/define-family.js';
export * from './families/mixtral.js';
export * from './families/qwen3-moe.js';
export * from './families/registry.js';
export {
  compareLayers,
  comparePositions,
  Gather,
  type GatherDecision,
  type GatheredFrame,
  type GatherSource,
  type WorkPosition,
} from './routing/gather.js';
export * from './routing/local-experts.js';
export * from './routing/replica-balancer.js';
export * from './routing/row-list.js';
export * from './routing/row-splitter.js';
export * from './sampling/sampling-options.js';
export * from './stages/check-expert-input.js';
export * from './stages/check-micro-batch.js';
export { createNullBackend, nullBackend } from './null/null-backend.js';
export type { NullTimes } from './null/null-times.js';
export type { WaitUntil } from './null/wait-until.js';
export { plugin } from './plugin.js';
export { referenceBackend } from './reference/reference-backend.js';
export * from './weights/checkpoint/check-weights.js';
export * from './weights/checkpoint/checkpoint.js';
export * from './weights/checkpoint/generation-config.js';
export * from './weights/quantized/quantization-plan.js';
export * from './weights/quantized/quantize-checkpoint.js';
export type { QuantizedForm } from './weights/quantized/quantize-groups.js';
export * from './weights/quantized/quantized-weight-source.js';
export * from './weights/random/random-checkpoint.js';
export * from './weights/random/random-config.js';
export * from './weights/random/random-weight-source.js';
export { fillRandomBfloat16, type RandomTensor } from './weights/random/random-weights.js';
export { readF32 } from './weights/safetensors/read-f32.js';
export * from './weights/safetensors/read-safetensors-header.js';
export * from './weights/safetensors/safetensors-header.js';
export * from './weights/checkpoint/write-bfloat16-checkpoint.js';
export * from './weights/checkpoint/write-checkpoint-tensors.js';
export * from './weights/safetensors/write-safetensors.js';
export * from './sampling/resolve-sampling.js';
export * from './sampling/sampler.js';
export * from './text/chat-template.js';
export * from './text/detokenizer.js';
export * from './text/stop-texts.js';
export { createTokenizer, openTokenizer } from './text/tokenizer.js';
export type { DecodeOptions, EncodeOptions, Tokenizer } from './text/tokenizer.js';
export { BusyTimes, type Interval } from './trace/busy-times.js';
export * from './trace/trace-writer.js';
export { expertTimes, workerSpan, type WorkerEvent } from './trace/worker-span.js';
export * from './graph/cost.js';
export * from './graph/print.js';
