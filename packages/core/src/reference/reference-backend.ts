import type { BackendFactory } from '../spec/backend.js';
import { InMemoryBackend } from '../stages/in-memory-backend.js';
import { ReferenceAttentionStage } from './attention-stage.js';
import { ReferenceExpertStage } from './expert-stage.js';

/**
 * The `reference` backend, which defines the right numbers: it interprets the model graph in f32 on
 * one thread, without native code. It is written to be read and to be compared with, not to be
 * fast, and allocates while it computes.
 */
export const referenceBackend: BackendFactory = {
  specVersion: 1,
  name: 'reference',
  probe: async () => ({ available: true, device: 'JavaScript', variants: ['scalar'] }),
  create: async (options) =>
    new InMemoryBackend(
      {
        name: 'reference',
        isa: 'scalar',
        attentionStage: (stageOptions) => new ReferenceAttentionStage(stageOptions),
        expertStage: (stageOptions) => new ReferenceExpertStage(stageOptions),
      },
      options,
    ),
};
