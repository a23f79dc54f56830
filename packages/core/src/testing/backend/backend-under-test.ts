import { referenceBackend } from '../../reference/reference-backend.js';
import type { Backend, BackendFactory, BackendOptions } from '../../spec/backend.js';
import { openColocated, type Colocated, type ColocatedOptions } from './run-colocated.js';
import type { TinyModel } from './tiny-models.js';

/** Each is max |difference| / max |reference| over one output. */
export interface BackendBound {
  /** After all layers of a tiny model, every error of every op on the way. */
  readonly logits: number;
  /** After one run of the expert stage on the same rows. */
  readonly expertOutputs: number;
}

export type OpenOptions = Partial<Omit<ColocatedOptions, 'backend' | 'model' | 'weights'>>;

/**
 * The backend of a contract suite and `reference` beside it; whatever they open is closed with
 * them.
 */
export class BackendUnderTest {
  readonly factory: BackendFactory;
  readonly #options: BackendOptions;
  readonly #backends: Backend[] = [];
  #backend: Promise<Backend> | undefined;
  #reference: Promise<Backend> | undefined;

  constructor(factory: BackendFactory, options: BackendOptions = {}) {
    this.factory = factory;
    this.#options = options;
  }

  /** Why this machine cannot run it, or undefined. */
  async absent(): Promise<string | undefined> {
    const probe = await this.factory.probe();
    if (!probe.available) return probe.reason;
    const { isa } = this.#options;
    return isa === undefined || probe.variants.includes(isa)
      ? undefined
      : `this machine has no variant ${isa}, only ${probe.variants.join(', ')}`;
  }

  /** The same instance for all tests. */
  shared(): Promise<Backend> {
    return (this.#backend ??= this.create());
  }

  async create(options: BackendOptions = {}): Promise<Backend> {
    const backend = await this.factory.create({ ...this.#options, ...options });
    this.#backends.push(backend);
    return backend;
  }

  async open(model: TinyModel, options: OpenOptions = {}): Promise<Colocated> {
    return openTiny(await this.shared(), model, options);
  }

  async openReference(model: TinyModel, options: OpenOptions = {}): Promise<Colocated> {
    this.#reference ??= referenceBackend.create();
    return openTiny(await this.#reference, model, options);
  }

  close(): void {
    for (const backend of this.#backends) backend.close();
  }
}

/** Opens both stages of a tiny model on any backend. */
export function openTiny(
  backend: Backend,
  model: TinyModel,
  options: OpenOptions = {},
): Promise<Colocated> {
  return openColocated({ backend, model: model.graph, weights: model.weights, ...options });
}
