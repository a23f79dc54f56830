import { loadNative } from '../load-native.js';

/**
 * native/binding/*.cc, function by function. All but `version`, `sumPartialRows` and
 * `allocationCount` are present on Linux only.
 */
export interface Binding {
  readonly version: () => string;
  /** See `PartialSummer`. Throws when an array is shorter than the counts say. */
  sumPartialRows(
    answers: Float32Array | Uint16Array,
    weights: Float32Array,
    expertRanks: Int32Array,
    rank: number,
    tokens: number,
    topK: number,
    hiddenSize: number,
  ): void;
  /** `numaNode` -1: none. Throws when the system has no memory or no descriptor left. */
  createSegment(
    byteLength: number,
    hugePages: boolean,
    numaNode: number,
  ): { readonly buffer: ArrayBuffer; readonly fd: number };
  /** Throws when the descriptor cannot be opened or is no sealed segment of this length. */
  openSegment(processId: number, fd: number, byteLength: number): ArrayBuffer;
  closeDescriptor(fd: number): void;
  waitForRing(
    words: Int32Array,
    countIndex: number,
    parkedIndex: number,
    seen: number,
    spinUs: number,
    timeoutUs: number,
    spinYields: boolean,
  ): void;
  wake(words: Int32Array, countIndex: number): void;
  currentThread(): ThreadIdentity;
  /** Segments made or mapped, memory registered: by this process, since its start. */
  allocationCount(): number;
  isAlive(processId: number, threadId: number, startTicks: number): boolean;
}

export interface ThreadIdentity {
  readonly processId: number;
  readonly threadId: number;
  /** Clock ticks after boot. */
  readonly startTicks: number;
}

/** @throws BackendError 'ERR_NATIVE_LOAD' */
export function binding(): Binding {
  return loadNative() as Binding;
}
