import { MegascaleError, type Backend, type MachineBounds } from '@megascale/core';
import { loadBackend } from '@megascale/engine';
import { BenchError } from '../bench-error.js';

/** Reads are measured over no less than this. */
const byteLengthMin = 1 << 28;

/**
 * The machine's bounds, measured in this process with as many threads as the workers have together,
 * while they are idle. Memory is held only while a measurement runs.
 */
export class Bounds {
  readonly #backend: Backend;
  readonly #machine: MachineBounds;
  #byteLength: number;

  private constructor(backend: Backend, machine: MachineBounds, byteLength: number) {
    this.#backend = backend;
    this.#machine = machine;
    this.#byteLength = byteLength;
  }

  /** @throws BenchError where the backend cannot measure. */
  static async open(options: {
    readonly backend: string;
    readonly isa: string;
    readonly threads: number;
    readonly byteLength: number;
  }): Promise<Bounds> {
    const { backend: name, isa, threads, byteLength } = options;
    const backend = await (await loadBackend(name)).create({ threads, isa });
    if (backend.bounds === undefined) {
      backend.close();
      throw new BenchError(
        `Backend ${name} cannot measure the machine, so there is nothing to compare with. Use --backend cpu.`,
      );
    }
    return new Bounds(backend, backend.bounds, byteLength);
  }

  /** Bytes per second: the best number of streams. Where memory is short, over less of it. */
  readBandwidth(): number {
    for (;;) {
      try {
        return this.#machine.readBandwidth(this.#byteLength).bytesPerSecond;
      } catch (error) {
        const tooMuch = MegascaleError.isInstance(error) && error.code === 'ERR_OUT_OF_MEMORY';
        if (!tooMuch || this.#byteLength / 2 < byteLengthMin) throw error;
        this.#byteLength /= 2;
      }
    }
  }

  /** Of what the last read bandwidth was measured over. */
  get byteLength(): number {
    return this.#byteLength;
  }

  get machine(): MachineBounds {
    return this.#machine;
  }

  close(): void {
    this.#backend.close();
  }
}
