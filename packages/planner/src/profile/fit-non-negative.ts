/** One measurement: what was computed, as numbers that its time is linear in, and the time. */
export interface FitSample {
  readonly features: readonly number[];
  readonly us: number;
}

/** Past this many deviations of the median from the line, a sample is another program's doing. */
const outlierDeviations = 4;
const iterations = 40;
/** Residuals below this part of a time count alike. */
const residualFloor = 1e-9;

/**
 * Coefficients, none of them negative, with which `features · coefficients` explains the times.
 * Residuals are relative: short times count as much as long ones. First the least sum of absolute
 * residuals, which outliers cannot pull; then least squares over the samples that lie near it.
 * Exact where most samples lie on a plane.
 *
 * @throws RangeError without samples, or where samples differ in length.
 */
export function fitNonNegative(samples: readonly FitSample[]): number[] {
  const [first] = samples;
  const usable = samples.filter(({ us }) => us > 0 && Number.isFinite(us));
  if (first === undefined || usable.length === 0) {
    throw new RangeError('A fit needs at least one sample with a positive time.');
  }
  const count = first.features.length;
  if (usable.some(({ features }) => features.length !== count)) {
    throw new RangeError('All samples of a fit need the same number of features.');
  }
  let coefficients = leastSquares(usable, () => 1, count);
  for (let iteration = 0; iteration < iterations; iteration += 1) {
    const current = coefficients;
    coefficients = leastSquares(
      usable,
      (sample) => 1 / Math.max(residualFloor, Math.abs(residualOf(sample, current))),
      count,
    );
  }
  const deviations = usable.map((sample) => Math.abs(residualOf(sample, coefficients)));
  const limit = outlierDeviations * Math.max(residualFloor, medianOf(deviations) * 1.4826);
  const near = usable.filter((_, index) => (deviations[index] ?? Infinity) <= limit);
  return leastSquares(near, () => 1, count);
}

/** (predicted − measured) / measured */
export function residualOf({ features, us }: FitSample, coefficients: readonly number[]): number {
  const predicted = features.reduce(
    (sum, value, index) => sum + value * (coefficients[index] ?? 0),
    0,
  );
  return predicted / us - 1;
}

/** Of several values, the one in the middle. @throws RangeError without values. */
export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  if (upper === undefined || lower === undefined) {
    throw new RangeError('A median needs at least one value.');
  }
  return (lower + upper) / 2;
}

/**
 * The best of all sets of coefficients that are used, the others 0: with so few features, all sets
 * are tried.
 */
function leastSquares(
  samples: readonly FitSample[],
  weightOf: (sample: FitSample) => number,
  count: number,
): number[] {
  // Scaled so that elimination compares like with like.
  const scales = Array.from({ length: count }, (_, index) =>
    Math.max(...samples.map(({ features, us }) => Math.abs(features[index] ?? 0) / us), 1e-300),
  );
  const matrix = new Float64Array(count * count);
  const vector = new Float64Array(count);
  for (const sample of samples) {
    const weight = weightOf(sample);
    for (let i = 0; i < count; i += 1) {
      const a = (sample.features[i] ?? 0) / sample.us / (scales[i] ?? 1);
      vector[i] = (vector[i] ?? 0) + weight * a;
      for (let j = 0; j < count; j += 1) {
        const b = (sample.features[j] ?? 0) / sample.us / (scales[j] ?? 1);
        matrix[i * count + j] = (matrix[i * count + j] ?? 0) + weight * a * b;
      }
    }
  }
  let best = new Array<number>(count).fill(0);
  let explained = 0;
  for (let set = 1; set < 1 << count; set += 1) {
    const used = Array.from({ length: count }, (_, index) => index).filter((i) => set & (1 << i));
    const solved = solve(matrix, vector, used, count);
    if (solved?.every((value) => value >= 0) !== true) continue;
    const gain = used.reduce((sum, i, place) => sum + (solved[place] ?? 0) * (vector[i] ?? 0), 0);
    if (gain <= explained * (1 + 1e-13)) continue;
    explained = gain;
    best = Array.from({ length: count }, (_, i) => {
      const place = used.indexOf(i);
      return place < 0 ? 0 : (solved[place] ?? 0) / (scales[i] ?? 1);
    });
  }
  return best;
}

/**
 * Gaussian elimination with pivots, on the chosen rows and columns; undefined where they say too
 * little.
 */
function solve(
  matrix: Float64Array,
  vector: Float64Array,
  used: readonly number[],
  count: number,
): number[] | undefined {
  const rows = used.map((i) => [...used.map((j) => matrix[i * count + j] ?? 0), vector[i] ?? 0]);
  const size = used.length;
  for (let column = 0; column < size; column += 1) {
    const pivotRow = rows.reduce(
      (best, row, index) =>
        index >= column && Math.abs(row[column] ?? 0) > Math.abs(rows[best]?.[column] ?? 0)
          ? index
          : best,
      column,
    );
    const pivot = rows[pivotRow];
    const here = rows[column];
    if (pivot === undefined || here === undefined) return undefined;
    rows[pivotRow] = here;
    rows[column] = pivot;
    const diagonal = matrix[(used[column] ?? 0) * (count + 1)] ?? 0;
    if (!(Math.abs(pivot[column] ?? 0) > 1e-10 * diagonal)) return undefined;
    for (const [index, row] of rows.entries()) {
      if (index === column) continue;
      const factor = (row[column] ?? 0) / (pivot[column] ?? 1);
      for (let place = column; place <= size; place += 1) {
        row[place] = (row[place] ?? 0) - factor * (pivot[place] ?? 0);
      }
    }
  }
  return rows.map((row, index) => (row[size] ?? 0) / (row[index] ?? 1));
}
