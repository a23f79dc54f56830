import { availableParallelism } from 'node:os';
import {
  BackendError,
  MegascaleError,
  type AttentionStage,
  type AttentionStageOptions,
  type Backend,
  type BackendFactory,
  type BackendOptions,
  type BackendProbe,
  type ExpertStage,
  type ExpertStageOptions,
  type Region,
} from '@megascale/core';
import { CpuAttentionStage } from './attention-stage.js';
import { nativeAddon, type NativeAddon, type NativeBackend } from './binding/binding.js';
import { CpuExpertStage } from './expert-stage.js';
import { NativeBounds } from './binding/native-bounds.js';
import { callNative, refuse, refuseClosed } from './binding/native-error.js';

const threadsMax = 1024;

/**
 * The `cpu` backend: AMX, AVX-512, AVX2, NEON or plain C++, chosen when it is created. Activations
 * are bf16 between ops; the residual and all accumulation are f32. `probe` and `create` load the
 * native addon; importing the package does not.
 */
export const cpuBackend: BackendFactory = {
  specVersion: 1,
  name: 'cpu',
  probe: () => Promise.resolve(probe()),
  create: (options) => settle(() => new CpuBackend(nativeAddon(), options)),
};

function probe(): BackendProbe {
  try {
    const addon = nativeAddon();
    const device = `${addon.cpuName()}, ${availableParallelism()} cores`;
    return { available: true, device, variants: addon.availableIsas() };
  } catch (error) {
    const reason = MegascaleError.isInstance(error) ? error.message : String(error);
    return { available: false, reason };
  }
}

class CpuBackend implements Backend {
  readonly name = 'cpu';
  readonly memory = 'host';
  readonly activationDType = 'bf16';
  readonly isa: string;
  readonly bounds = new NativeBounds(() => this.#open());
  readonly #addon: NativeAddon;
  readonly #stages: { close(): void }[] = [];
  #native: NativeBackend | undefined;

  constructor(addon: NativeAddon, options: BackendOptions = {}) {
    const { threads = availableParallelism(), isa = '', cores } = options;
    if (!Number.isInteger(threads) || threads < 1 || threads > threadsMax) {
      throw new BackendError('ERR_BACKEND_UNAVAILABLE', {
        message: `Cannot compute on ${threads} threads. Ask for 1 to ${threadsMax}.`,
        details: { threads },
      });
    }
    this.#addon = addon;
    const coreIds = cores && Int32Array.from(cores);
    this.#native = callNative(() => new addon.Backend(threads, isa, coreIds));
    this.isa = this.#native.isa;
  }

  allocate(byteLength: number): Region {
    const native = this.#open();
    if (!Number.isSafeInteger(byteLength) || byteLength < 0) {
      refuse(`Cannot allocate ${byteLength} bytes: not a size.`);
    }
    const buffer = callNative(() => native.allocate(Math.max(byteLength, 1)));
    return { memory: 'host', byteLength, bytes: new Uint8Array(buffer, 0, byteLength) };
  }

  createAttentionStage(options: AttentionStageOptions): Promise<AttentionStage> {
    return settle(() => this.#keep(new CpuAttentionStage(this.#addon, this.#open(), options)));
  }

  createExpertStage(options: ExpertStageOptions): Promise<ExpertStage> {
    return settle(() => this.#keep(new CpuExpertStage(this.#addon, this.#open(), options)));
  }

  close(): void {
    for (const stage of this.#stages.splice(0)) stage.close();
    this.#native?.close();
    this.#native = undefined;
  }

  #keep<Stage extends { close(): void }>(stage: Stage): Stage {
    this.#stages.push(stage);
    return stage;
  }

  #open(): NativeBackend {
    return this.#native ?? refuseClosed('cpu backend');
  }
}

/** A promise of what `make` returns, rejected with what it throws. */
function settle<T>(make: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(make());
  });
}
