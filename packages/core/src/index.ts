/**
 * @megascale/core: the words. Interfaces, the model graph, families, weights, text, sampling, the
 * reference backend.
 */

// Interfaces.
export { plugin } from './plugin.js';
export type {
  AttentionSlot,
  AttentionStage,
  AttentionStageOptions,
  Backend,
  BackendFactory,
  BackendOptions,
  BackendProbe,
  ExpertInput,
  ExpertSlot,
  ExpertStage,
  ExpertStageOptions,
  KvCacheDtype,
  MicroBatch,
} from './spec/backend.js';
export type {
  CopyTime,
  ForkJoin,
  MachineBounds,
  MultiplyPeak,
  ReadBandwidth,
} from './spec/machine-bounds.js';
export type { FamilyDefinition, ModelFamily } from './spec/model-family.js';
export type { Plugin } from './spec/plugin.js';
export type { OpRecord, OpTotals, OpWork, StageProfile, StageProfiler } from './spec/profile.js';
export { bytesPerElement, type DType, type MemoryKind, type Region } from './spec/region.js';
export type {
  RunningView,
  SchedulerPolicy,
  SchedulerView,
  ServiceView,
  StepCost,
  StepPlan,
  WaitingView,
} from './spec/scheduler-policy.js';
export {
  type AttentionPort,
  type DispatchTicket,
  type EmulatedLink,
  type ExpertPort,
  type GatherPolicy,
  liveEpochsMax,
  type MemoryHints,
  type NetworkOptions,
  type PlacementEpoch,
  placementEpochMax,
  type Rendezvous,
  type TransportFactory,
  type TransportOptions,
} from './spec/transport.js';
export {
  type AttentionRank,
  attentionRank,
  type ExpertId,
  expertId,
  type ExpertRank,
  expertRank,
  type KvPageId,
  kvPageId,
  type LayerIndex,
  layerIndex,
  type MicroBatchIndex,
  microBatchIndex,
  type SequenceId,
  sequenceId,
} from './spec/units.js';
export type {
  PlainTensorLocation,
  PlainWeightDType,
  TensorLocation,
  WeightDType,
  WeightSource,
} from './spec/weight-source.js';

// Errors, clock and options.
export { type Clock, systemClock } from './clock.js';
export {
  BackendError,
  type BackendErrorCode,
  ConfigError,
  type ConfigErrorCode,
  deserializeError,
  MegascaleError,
  type MegascaleErrorCode,
  type MegascaleErrorOptions,
  PolicyError,
  type PolicyErrorCode,
  RequestError,
  type RequestErrorCode,
  type SerializedError,
  serializeError,
  TransportError,
  type TransportErrorCode,
} from './errors.js';
export { type Present, presentFields } from './present-fields.js';

// The model graph and its consumers.
export { defineFamily } from './families/define-family.js';
export { mixtral } from './families/mixtral.js';
export { qwen3Moe } from './families/qwen3-moe.js';
export { buildModelGraph, knownFamilies } from './families/registry.js';
export { GraphBuilder, type WeightName } from './graph/builder.js';
export {
  type Cost,
  costOf,
  costOfAttentionStage,
  costOfExpertStage,
  costOfModel,
  costOfNodes,
  parameterCount,
} from './graph/cost.js';
export { inputsOf, outputsOf, weightsOf } from './graph/node-values.js';
export type {
  AddToNode,
  Dim,
  EmbedNode,
  ExpertsNode,
  ExpertWeights,
  Graph,
  GraphNode,
  KvAppendNode,
  LinearNode,
  LmHeadNode,
  ModelGraph,
  ModelSizes,
  OpName,
  PagedAttentionNode,
  QkNormNode,
  RmsNormNode,
  RopeNode,
  RouterNode,
  Routes,
  SwigluNode,
  Value,
  ValueDType,
  WeightRef,
} from './graph/ops.js';
export {
  type AttentionProgram,
  type AttentionStageProgram,
  type ExpertProgram,
  partition,
  type Partition,
} from './graph/partition.js';
export { printModel } from './graph/print.js';
export { decodeWorkload, type Workload } from './graph/workload.js';

// Routes, rows and ranks.
export {
  compareLayers,
  comparePositions,
  Gather,
  type GatherDecision,
  type GatheredFrame,
  type GatherSource,
  type WorkPosition,
} from './routing/gather.js';
export {
  layerPlacement,
  type LayerPlacement,
  ofLayer,
  type Placement,
  residentExperts,
  residentExpertsByLayer,
  residentTable,
} from './routing/local-experts.js';
export { ReplicaBalancer } from './routing/replica-balancer.js';
export { RowList, type RowListOptions, type RowSource } from './routing/row-list.js';
export { defaultSplitRowsMin, RowSplitter } from './routing/row-splitter.js';

// Weights.
export { checkWeights } from './weights/checkpoint/check-weights.js';
export { type Checkpoint, openCheckpoint } from './weights/checkpoint/checkpoint.js';
export type { GenerationConfig } from './weights/checkpoint/generation-config.js';
export type { WriteProgress } from './weights/checkpoint/write-checkpoint-tensors.js';
export type { QuantizationOptions } from './weights/quantized/quantization-plan.js';
export {
  type QuantizationReport,
  quantizeCheckpoint,
  type QuantizeCheckpointOptions,
} from './weights/quantized/quantize-checkpoint.js';
export {
  makeRandomCheckpoint,
  type RandomCheckpointOptions,
} from './weights/random/random-checkpoint.js';
export {
  randomConfig,
  type RandomModelOptions,
  type SpecialTokenIds,
} from './weights/random/random-config.js';
export { randomWeightSource } from './weights/random/random-weight-source.js';
export { readF32 } from './weights/safetensors/read-f32.js';

// Text and sampling.
export { type ResolvedSampling, resolveSampling } from './sampling/resolve-sampling.js';
export { type ChosenToken, Sampler, type TokenLogprob } from './sampling/sampler.js';
export type { SamplingOptions } from './sampling/sampling-options.js';
export {
  type ChatTemplate,
  type ChatTemplateInput,
  openChatTemplate,
} from './text/chat-template.js';
export { Detokenizer, type DetokenizerOptions } from './text/detokenizer.js';
export { type StopTextResult, StopTexts } from './text/stop-texts.js';
export {
  type DecodeOptions,
  type EncodeOptions,
  openTokenizer,
  type Tokenizer,
} from './text/tokenizer.js';

// Backends in JavaScript.
export { createNullBackend, nullBackend } from './null/null-backend.js';
export type { NullTimes } from './null/null-times.js';
export type { WaitUntil } from './null/wait-until.js';
export { referenceBackend } from './reference/reference-backend.js';

// Native addons and traces.
export { createNativeLoader } from './native/create-native-loader.js';
export { BusyTimes, type Interval } from './trace/busy-times.js';
export {
  type ChromeTrace,
  type TraceEvent,
  type TraceSpan,
  TraceWriter,
} from './trace/trace-writer.js';
export { expertTimes, type WorkerEvent, workerSpan } from './trace/worker-span.js';
