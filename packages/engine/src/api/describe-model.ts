import type { GenerationConfig, ModelGraph } from '@megascale/core';
import type { ModelInfo } from '../spec/language-model.js';
import type { EngineConfig } from '../config/engine-config.js';

/** What a running model says of itself. */
export function describeModel(parts: {
  readonly name: string;
  readonly graph: ModelGraph;
  readonly config: EngineConfig;
  readonly generation: GenerationConfig;
  readonly hasChatTemplate: boolean;
  readonly backend: { readonly name: string; readonly isa: string };
}): ModelInfo {
  const { graph, config, generation } = parts;
  const { attentionWorkers, expertWorkers, microBatches, transport, emulatedLink } = config;
  const link = emulatedLink === undefined ? {} : { emulatedLink };
  return {
    name: parts.name,
    family: graph.family,
    vocabSize: graph.sizes.vocabSize,
    maxModelLen: config.maxModelLen,
    hasChatTemplate: parts.hasChatTemplate,
    topology: config.colocated
      ? { type: 'colocated', attentionWorkers, microBatches }
      : {
          type: 'disaggregated',
          attentionWorkers,
          expertWorkers,
          microBatches,
          transport,
          ...link,
        },
    backend: parts.backend.name,
    isa: parts.backend.isa,
    defaultSampling: generation.sampling,
    eosTokenIds: generation.eosTokenIds,
  };
}
