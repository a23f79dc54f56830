/**
 * @megascale/engine: the attention and expert workers, their coordinator, and the `LLM` class for
 * programs.
 */
export { LLM } from './api/llm.js';
export type { LlmEvent, LoadHooks } from './api/load-hooks.js';
export type {
  ChatMessage,
  EngineStats,
  GenerateOptions,
  LanguageModel,
  ModelInfo,
  OutputToken,
  Piece,
  StepRecord,
  StepTime,
  Topology,
  Usage,
  WorkerProfile,
} from './spec/language-model.js';
export type { EngineConfig } from './config/engine-config.js';
export {
  option,
  optionMeta,
  type OptionGroup,
  type OptionMeta,
  type OptionUnit,
} from './config/option.js';
export { llmOptionGroups, llmOptionsSchema, type LlmOptions } from './config/options.js';
export {
  backendNames,
  loadBackend,
  loadPolicy,
  loadTransport,
  transportNames,
} from './plugins/plugins.js';
export { flightTrace } from './recorder/flight-trace.js';
export {
  pipelineNumbers,
  type BubbleCause,
  type PipelineNumbers,
  type WorkerNumbers,
} from './recorder/pipeline-numbers.js';
export type { Recording } from './recorder/flight-recorder.js';
export type { WorkerRecording } from './recorder/worker-recording.js';
export type { MoveReport } from './placement/placement-keeper.js';
export type { RequestAccount } from './recorder/request-account.js';
export type { ExpertBalanceStats, ExpertsMoved } from './placement/expert-balance.js';
