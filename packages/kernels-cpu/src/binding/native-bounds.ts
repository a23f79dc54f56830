import type {
  CopyTime,
  ForkJoin,
  MachineBounds,
  MultiplyPeak,
  ReadBandwidth,
} from '@megascale/core';
import type { NativeBackend } from './binding.js';
import { callNative, refuse } from './native-error.js';

/** Every thread reads whole lines of up to eight streams. */
const byteLengthMin = 1 << 20;

/** Core's view of native/bounds. */
export class NativeBounds implements MachineBounds {
  readonly #backend: () => NativeBackend;

  /** `backend` throws once it is closed. */
  constructor(backend: () => NativeBackend) {
    this.#backend = backend;
  }

  readBandwidth(byteLength: number): ReadBandwidth {
    requireSize(byteLength);
    const pairs = callNative(() => this.#backend().readBandwidth(byteLength));
    const variants = Array.from({ length: pairs.length / 2 }, (_, i) => ({
      streams: pairs[2 * i] ?? 0,
      bytesPerSecond: pairs[2 * i + 1] ?? 0,
    }));
    const bytesPerSecond = Math.max(...variants.map((variant) => variant.bytesPerSecond));
    return { bytesPerSecond, variants };
  }

  multiplyPeak(): MultiplyPeak {
    const [gemmFlopsPerSecond, instructionFlopsPerSecond, instruction] = callNative(() =>
      this.#backend().multiplyPeak(),
    );
    return { gemmFlopsPerSecond, instructionFlopsPerSecond, instruction };
  }

  forkJoin(): ForkJoin {
    const [spinningUs = 0, parkedUs = 0] = callNative(() => this.#backend().forkJoin());
    return { spinningUs, parkedUs };
  }

  copyTime(byteLength: number): CopyTime {
    requireSize(byteLength);
    const [freshUs = 0, touchedUs = 0] = callNative(() => this.#backend().copyTime(byteLength));
    return { freshUs, touchedUs };
  }
}

function requireSize(byteLength: number): void {
  if (Number.isSafeInteger(byteLength) && byteLength >= byteLengthMin) return;
  refuse(`Cannot measure over ${byteLength} bytes, expected at least ${byteLengthMin}.`);
}
