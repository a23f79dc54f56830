/** KL(expected ‖ found) of each row of logits [rows, vocabSize], in nats. */
export function divergencesOf(
  expected: Float32Array,
  found: Float32Array,
  vocabSize: number,
): number[] {
  if (found.length !== expected.length) {
    throw new RangeError(`${String(found.length)} logits, expected ${String(expected.length)}`);
  }
  return Array.from({ length: expected.length / vocabSize }, (_, row) => {
    const p = logSoftmax(expected.subarray(row * vocabSize, (row + 1) * vocabSize));
    const q = logSoftmax(found.subarray(row * vocabSize, (row + 1) * vocabSize));
    return p.reduce((sum, value, i) => sum + Math.exp(value) * (value - (q[i] ?? 0)), 0);
  });
}

export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The first of the largest. */
export function indexOfMax(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > (values[best] ?? 0) ? i : best), 0);
}

function logSoftmax(logits: Float32Array): number[] {
  const largest = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  const sum = logits.reduce((total, value) => total + Math.exp(value - largest), 0);
  return Array.from(logits, (value) => value - largest - Math.log(sum));
}
