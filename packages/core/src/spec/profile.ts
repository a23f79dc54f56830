/** What a stage's ops have cost: the sums since the stage was made. */
export interface StageProfile {
  readonly ops: readonly OpTotals[];
  /** Bytes of weights that the stage holds, as stored. */
  readonly weightBytes: number;
  /** Bytes of KV pages. */
  readonly kvBytes: number;
}

/** What one run of an op has to read, write and compute. */
export interface OpWork {
  /** Weights it read, as stored (a quantized matrix with its scales): each once per run. */
  readonly weightBytes: number;
  /** Keys and values read and written. */
  readonly kvBytes: number;
  /** By the formulas of `costOf`. */
  readonly flops: number;
}

export interface OpTotals extends OpWork {
  /** The kind: an op of the graph, 'combine' or 'experts'. */
  readonly op: string;
  readonly calls: number;
  readonly timeUs: number;
}

/** One run of an op, noted while recording. */
export interface OpRecord extends OpWork {
  readonly op: string;
  /** −1: before the first or after the last layer. */
  readonly layer: number;
  /** −1: an expert stage merges micro-batches. */
  readonly microBatch: number;
  /** As `Clock.nowUs` of any process on this machine. */
  readonly startUs: number;
  readonly endUs: number;
}

/** How a stage tells what it does. Counting is always on; recording is asked for. */
export interface StageProfiler {
  totals(): StageProfile;
  /** Forgets the records so far and notes the next `recordsMax` ops; 0 stops. */
  record(recordsMax: number): void;
  /** In the order they ran, and how many more found no room. */
  records(): { readonly records: readonly OpRecord[]; readonly lost: number };
}
