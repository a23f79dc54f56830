import type { OpRecord, OpTotals, StageProfile, StageProfiler } from '@megascale/core';
import type { NativeProfile } from './binding.js';
import { callNative } from './native-error.js';

const totalsFields = 5;
const recordFields = 8;

/** Core's view of the numbers that native code keeps. */
export class NativeProfiler implements StageProfiler {
  readonly #ops: readonly string[];
  readonly #stage: () => NativeProfile;

  /** `ops`: kinds by number. `stage`: the native stage; throws once it is closed. */
  constructor(ops: readonly string[], stage: () => NativeProfile) {
    this.#ops = ops;
    this.#stage = stage;
  }

  totals(): StageProfile {
    const stage = this.#stage();
    const [weightBytes, kvBytes] = stage.memoryBytes();
    const numbers = stage.opTotals();
    const ops = this.#ops.map((op, index): OpTotals => {
      const at = index * totalsFields;
      return {
        op,
        calls: numbers[at] ?? 0,
        timeUs: (numbers[at + 1] ?? 0) / 1000,
        weightBytes: numbers[at + 2] ?? 0,
        kvBytes: numbers[at + 3] ?? 0,
        flops: numbers[at + 4] ?? 0,
      };
    });
    return { ops: ops.filter(({ calls }) => calls > 0), weightBytes, kvBytes };
  }

  record(recordsMax: number): void {
    callNative(() => {
      this.#stage().record(recordsMax);
    });
  }

  records(): { readonly records: readonly OpRecord[]; readonly lost: number } {
    const [numbers, lost] = this.#stage().opRecords();
    const records = Array.from({ length: numbers.length / recordFields }, (_, index): OpRecord => {
      const at = index * recordFields;
      return {
        op: this.#ops[numbers[at] ?? 0] ?? '',
        layer: numbers[at + 1] ?? 0,
        microBatch: numbers[at + 2] ?? 0,
        startUs: (numbers[at + 3] ?? 0) / 1000,
        endUs: (numbers[at + 4] ?? 0) / 1000,
        weightBytes: numbers[at + 5] ?? 0,
        kvBytes: numbers[at + 6] ?? 0,
        flops: numbers[at + 7] ?? 0,
      };
    });
    return { records, lost };
  }
}
