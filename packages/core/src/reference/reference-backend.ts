import { BackendError } from '../errors.js';
import type {
  AttentionStage,
  AttentionStageOptions,
  Backend,
  BackendFactory,
  BackendOptions,
  ExpertStage,
  ExpertStageOptions,
} from '../spec/backend.js';
import type { Region } from '../spec/region.js';
import { ReferenceAttentionStage } from './attention-stage.js';
import { ReferenceExpertStage } from './expert-stage.js';
import { StageDoor } from './stage-door.js';

/**
 * The oracle: interprets the model graph in f32, one thread, no native code. Made to be read and to
 * be compared with, not to be fast: unlike other backends it allocates while it computes.
 */
export const referenceBackend: BackendFactory = {
  specVersion: 1,
  name: 'reference',
  probe: () => Promise.resolve({ available: true, device: 'JavaScript', variants: ['scalar'] }),
  create: (options) => settle(() => new ReferenceBackend(options)),
};

class ReferenceBackend implements Backend {
  readonly name = 'reference';
  readonly memory = 'host';
  readonly activationDType = 'f32';
  readonly isa = 'scalar';
  readonly #door = new StageDoor('reference backend');
  readonly #stages: { close(): void }[] = [];

  constructor(options: BackendOptions = {}) {
    if (options.isa === undefined || options.isa === this.isa) return;
    throw new BackendError('ERR_BACKEND_UNAVAILABLE', {
      message: `The reference backend has no variant ${options.isa}. Ask for ${this.isa}, or for none.`,
      details: { isa: options.isa, variants: [this.isa] },
    });
  }

  allocate(byteLength: number): Region {
    this.#door.requireOpen();
    try {
      return { memory: 'host', byteLength, bytes: new Uint8Array(byteLength) };
    } catch (cause) {
      throw new BackendError('ERR_OUT_OF_MEMORY', {
        message: `Cannot allocate ${byteLength} bytes. Lower the slot sizes.`,
        details: { byteLength },
        cause,
      });
    }
  }

  createAttentionStage(options: AttentionStageOptions): Promise<AttentionStage> {
    return settle(() => this.#keep(() => new ReferenceAttentionStage(options)));
  }

  createExpertStage(options: ExpertStageOptions): Promise<ExpertStage> {
    return settle(() => this.#keep(() => new ReferenceExpertStage(options)));
  }

  close(): void {
    this.#door.close();
    for (const stage of this.#stages.splice(0)) stage.close();
  }

  #keep<Stage extends { close(): void }>(create: () => Stage): Stage {
    this.#door.requireOpen();
    const stage = create();
    this.#stages.push(stage);
    return stage;
  }
}

/** A promise of what `make` returns, rejected with what it throws. */
function settle<T>(make: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(make());
  });
}
