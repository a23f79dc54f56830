/** Where a row of the contract's tests comes from. */
export interface RowOrigin {
  readonly attentionRank: number;
  readonly step: number;
  readonly layer: number;
  readonly microBatch: number;
  readonly token: number;
}

/** Fills answers before a dispatch: an expert that sends outputs of rows it was not given overwrites it. */
export const untouched = -7;

/**
 * The first value of a row; the others count up from it. Exact in f32, and hardly ever the same for
 * two rows.
 */
export function rowValue({ attentionRank, step, layer, microBatch, token }: RowOrigin): number {
  let hash = 0x9e3779b9;
  for (const part of [attentionRank, step, layer, microBatch, token]) {
    hash = Math.imul(hash ^ part, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  return (hash >>> 0) % 2 ** 18;
}

/** What an expert of the contract's tests makes of one value. Exact in f32. */
export function expertAnswer(value: number, expert: number, layer: number): number {
  return value * 2 + expert + layer * 2 ** 20;
}

/** A region's bytes as floats or integers. */
export function floats(bytes: Uint8Array | undefined): Float32Array {
  if (bytes === undefined) throw new Error('The contract can only test host memory.');
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

export function integers(bytes: Uint8Array | undefined): Int32Array {
  if (bytes === undefined) throw new Error('The contract can only test host memory.');
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** Blocks this thread, as a worker that computes does. */
export function blockFor(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
