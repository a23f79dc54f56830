/** @megascale/engine: the attention and expert workers, their coordinator, and the `LLM` class for programs. */
export { LLM, type LlmEvent, type LoadHooks } from './llm.js';
export type * from './language-model.js';
export { type LlmOptions, type EngineConfig } from './options.js';
export { backendNames, loadBackend, loadTransport, transportNames } from './plugins.js';
