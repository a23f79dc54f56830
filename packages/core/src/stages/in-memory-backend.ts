import { BackendError } from '../errors.js';
import type {
  AttentionStage,
  AttentionStageOptions,
  Backend,
  BackendOptions,
  ExpertStage,
  ExpertStageOptions,
} from '../spec/backend.js';
import type { Region } from '../spec/region.js';
import { OpenState } from './stage-validation.js';

/** What makes one in-memory backend differ from another. */
export interface InMemoryStages {
  readonly name: string;
  /** The only variant of the backend. */
  readonly isa: string;
  readonly attentionStage: (options: AttentionStageOptions) => AttentionStage;
  readonly expertStage: (options: ExpertStageOptions) => ExpertStage;
}

/**
 * A backend in JavaScript memory, f32 throughout. It owns the stages that it makes and closes them
 * when it closes.
 */
export class InMemoryBackend implements Backend {
  readonly name: string;
  readonly memory = 'host';
  readonly activationDType = 'f32';
  readonly isa: string;
  readonly #make: InMemoryStages;
  readonly #state: OpenState;
  readonly #stages: { close(): void }[] = [];

  /** @throws BackendError 'ERR_BACKEND_UNAVAILABLE' when `options` ask for another variant. */
  constructor(make: InMemoryStages, options: BackendOptions = {}) {
    const { name, isa } = make;
    this.name = name;
    this.isa = isa;
    this.#make = make;
    this.#state = new OpenState(`${name} backend`);
    if (options.isa === undefined || options.isa === isa) return;
    throw new BackendError('ERR_BACKEND_UNAVAILABLE', {
      message: `The ${name} backend has no variant ${options.isa}. Ask for ${isa}, or for none.`,
      details: { isa: options.isa, variants: [isa] },
    });
  }

  allocate(byteLength: number): Region {
    this.#state.requireOpen();
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

  async createAttentionStage(options: AttentionStageOptions): Promise<AttentionStage> {
    return this.#own(() => this.#make.attentionStage(options));
  }

  async createExpertStage(options: ExpertStageOptions): Promise<ExpertStage> {
    return this.#own(() => this.#make.expertStage(options));
  }

  close(): void {
    this.#state.close();
    for (const stage of this.#stages.splice(0)) stage.close();
  }

  #own<Stage extends { close(): void }>(create: () => Stage): Stage {
    this.#state.requireOpen();
    const stage = create();
    this.#stages.push(stage);
    return stage;
  }
}
