/**
 * @megascale/scheduler: when. Sequences, batching, KV pages, policies and the ping-pong order; no
 * backend, no transport.
 */
export {
  chooseAttentionWorker,
  predictAttentionTimes,
  type AttentionWorkerLoad,
  type Newcomer,
} from './admission/admission.js';
export { PrefixHints } from './admission/prefix-hints.js';
export { Batcher } from './batch/batcher.js';
export type { BatcherCounts, BatcherOptions } from './batch/batcher-options.js';
export type { EmittedToken, Step, StepOutcome } from './batch/step.js';
export {
  validatePlan,
  type PlanCandidate,
  type PlanCandidates,
  type PlanRule,
} from './batch/validate-plan.js';
export {
  keysSeenBy,
  predictStepUs,
  StepCostLearner,
  type MeasuredStep,
} from './cost/step-cost-learner.js';
export { KvCache, type CachedPrefix } from './kv/kv-cache.js';
export { PagePool, pagesForTokens, pagesMissing } from './kv/page-pool.js';
export type { PageTables } from './kv/page-tables.js';
export { PrefixTree, type PrefixNode } from './kv/prefix-tree.js';
export { buildMicroBatches, IntArrays, toMicroBatch } from './micro-batches/build-micro-batches.js';
export {
  positionOfLogits,
  type LogitsRow,
  type PlannedMicroBatch,
  type PlannedRow,
  type SequenceTokens,
} from './micro-batches/planned-micro-batch.js';
export { splitByTime } from './micro-batches/split-by-time.js';
export { splitMicroBatches, type StepPace } from './micro-batches/split-micro-batches.js';
export {
  chooseMicroBatchCount,
  MicroBatchTuner,
  timesWith,
  type PipelineObservation,
} from './pipeline/choose-micro-batches.js';
export {
  followSteps,
  walkSteps,
  type StepAction,
  type StepFollower,
  type StepShape,
} from './pipeline/follow-steps.js';
export { pingPong, type PipelineAction } from './pipeline/ping-pong.js';
export { createStepOrders, type StepOrder, type StepOrders } from './pipeline/step-order.js';
export {
  hidesTransfers,
  layerPeriodUs,
  microBatchesToHide,
  roundTripUs,
  stageTimeUs,
  stepTimeUs,
  type StageTimes,
} from './pipeline/step-time.js';
export { DecayingLoads } from './placement/decaying-loads.js';
export {
  emptyWindow,
  totalLoads,
  type ExpertLoads,
  type LoadTraceHeader,
  type LoadWindow,
} from './placement/expert-loads.js';
export {
  copiesBetween,
  improvePlacement,
  improvePlacementInSlices,
  type ImprovedPlacement,
  type ImproveOptions,
} from './placement/improve-placement.js';
export {
  advanceMove,
  beginMove,
  placementInForce,
  poolOfPhase,
  type MoveAnswer,
  type MovePhase,
  type MoveState,
  type MoveWorkers,
  type OpenPhase,
} from './placement/move-phases.js';
export {
  checkMovedPlacement,
  expertsBesides,
  MoveBudget,
  planMove,
  type LayerExpert,
  type MovePlan,
} from './placement/move-plan.js';
export { PlacementCost, type Imbalance } from './placement/placement-cost.js';
export {
  PlacementPlanner,
  type PlacementPlannerOptions,
  type PlacementProposal,
} from './placement/placement-planner.js';
export { planPlacement, type PlannedPlacement } from './placement/plan-placement.js';
export {
  planRedundancy,
  type RedundancyOptions,
  type RedundancyPlan,
} from './placement/redundancy-plan.js';
export { loadTraceFormat } from './placement/trace/load-trace-format.js';
export { LoadTraceReader } from './placement/trace/load-trace-reader.js';
export { LoadTraceWriter } from './placement/trace/load-trace-writer.js';
export { uniformPlacement } from './placement/uniform-placement.js';
export {
  ZipfRoutes,
  zipfTrace,
  type ZipfOptions,
  type ZipfTraceOptions,
} from './placement/zipf-loads.js';
export { plugin } from './plugin.js';
export { fcfs } from './policies/fcfs.js';
export { prefillFirst } from './policies/prefill-first.js';
export { serviceOrder, virtualArrivalMs } from './policies/service-order.js';
export { sloAware, type SloOptions } from './policies/slo-aware.js';
export { BoundedQueue } from './sequence/bounded-queue.js';
export type { PublishedPrefix, RunningSequence } from './sequence/running-sequence.js';
export { RunningTable } from './sequence/running-table.js';
export type { FinishReason, SequenceRequest } from './sequence/sequence-request.js';
export type { FoundPrefix } from './sequence/sequence-views.js';
export {
  admitSequence,
  finishSequence,
  preemptSequence,
  sequenceTransitions,
  startSequence,
  tokensLeft,
  type FinishedSequence,
  type LiveSequence,
  type Sequence,
  type WaitingSequence,
} from './sequence/sequence.js';
export {
  outputTokenCount,
  type GrowingHistory,
  type TokenHistory,
} from './sequence/token-history.js';
