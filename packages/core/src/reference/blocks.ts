/**
 * The arithmetic of every op, one short function each, written to be read beside the op table of
 * `graph/ops.ts`.
 *
 * Numbers are f32 between ops. Inside an op, sums run in double from index 0 upwards and are
 * rounded to f32 once: the order never depends on how many rows there are, so a row's result never
 * depends on its batch.
 *
 * Legend: T = tokens, H = hidden size, K = top-k. Matrices are row-major.
 */
import type { RouterNode } from '../graph/ops.js';

/** ids [T], table [vocab, H] → [T, H]. */
export function embed(ids: Int32Array, table: Float32Array, hidden: number): Float32Array {
  const out = new Float32Array(ids.length * hidden);
  ids.forEach((id, t) => {
    out.set(table.subarray(id * hidden, (id + 1) * hidden), t * hidden);
  });
  return out;
}

/** x [rows, W], weight [W] → [rows, W]: each row divided by its root mean square. */
export function rmsNorm(x: Float32Array, weight: Float32Array, epsilon: number): Float32Array {
  const width = weight.length;
  const out = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    let squares = 0;
    for (let i = 0; i < width; i += 1) squares += at(x, start + i) ** 2;
    const scale = 1 / Math.sqrt(squares / width + epsilon);
    for (let i = 0; i < width; i += 1) {
      out[start + i] = Math.fround(at(x, start + i) * scale) * at(weight, i);
    }
  }
  return out;
}

/** x [T, I], weight [O, I], bias [O] → [T, O]. */
export function linear(
  x: Float32Array,
  weight: Float32Array,
  inWidth: number,
  bias?: Float32Array,
): Float32Array {
  const outWidth = weight.length / inWidth;
  const tokens = x.length / inWidth;
  const out = new Float32Array(tokens * outWidth);
  for (let t = 0; t < tokens; t += 1) {
    for (let o = 0; o < outWidth; o += 1) {
      const sum = dot(x, t * inWidth, weight, o * inWidth, inWidth);
      out[t * outWidth + o] = bias === undefined ? sum : sum + at(bias, o);
    }
  }
  return out;
}

/**
 * x [T, heads × D], positions [T] → same shape: pairs (i, i + D/2) of each head rotated by the
 * position's angle.
 */
export function rope(
  x: Float32Array,
  positions: Int32Array,
  options: { headSize: number; theta: number },
): Float32Array {
  const half = options.headSize / 2;
  const width = x.length / positions.length;
  const frequencies = rotaryFrequencies(options.headSize, options.theta);
  const out = new Float32Array(x.length);
  positions.forEach((position, t) => {
    for (let i = 0; i < half; i += 1) {
      const angle = Math.fround(position * at(frequencies, i));
      const cos = Math.fround(Math.cos(angle));
      const sin = Math.fround(Math.sin(angle));
      for (let a = t * width + i; a < (t + 1) * width; a += options.headSize) {
        out[a] = at(x, a) * cos - at(x, a + half) * sin;
        out[a + half] = at(x, a + half) * cos + at(x, a) * sin;
      }
    }
  });
  return out;
}

/** [D/2]: theta^(−2i/D), each step rounded to f32 because the models were trained with it so. */
function rotaryFrequencies(headSize: number, theta: number): Float32Array {
  return Float32Array.from(
    { length: headSize / 2 },
    (_, i) => 1 / Math.fround(Math.pow(theta, Math.fround((2 * i) / headSize))),
  );
}

/**
 * What one query head attends over: keys and values [positions, D] of its sequence, given by the
 * offset of each position.
 */
export interface AttendedKeys {
  readonly keys: Float32Array;
  readonly values: Float32Array;
  /** Where the vector of a position starts, in `keys` and in `values`. */
  readonly offsetOf: (position: number) => number;
  /** Positions first ≤ p ≤ last are seen. */
  readonly first: number;
  readonly last: number;
}

/**
 * query [D] at `start` of q → out [D] at the same place: softmax(scale · q·k) over the seen
 * positions, times v.
 */
export function attendHead(
  q: Float32Array,
  seen: AttendedKeys,
  place: { start: number; headSize: number; scale: number },
  out: Float32Array,
): void {
  const { start, headSize, scale } = place;
  const count = seen.last - seen.first + 1;
  const scores = Float64Array.from(
    { length: count },
    (_, i) => scale * dot(q, start, seen.keys, seen.offsetOf(seen.first + i), headSize),
  );
  const shares = softmax(scores);
  const sums = new Float64Array(headSize);
  shares.forEach((share, i) => {
    const offset = seen.offsetOf(seen.first + i);
    for (let d = 0; d < headSize; d += 1)
      sums[d] = at(sums, d) + share * at(seen.values, offset + d);
  });
  out.set(sums, start);
}

/** into += x, elementwise. */
export function addTo(into: Float32Array, x: Float32Array): void {
  x.forEach((value, i) => {
    into[i] = at(into, i) + value;
  });
}

/** gate, up, same shape → silu(gate) ⊙ up. */
export function swiglu(gate: Float32Array, up: Float32Array): Float32Array {
  return gate.map((g, i) => Math.fround(g * sigmoid(g)) * at(up, i));
}

/**
 * x [T, H], weight [experts, H] → the K best experts of each token and their weights, both [T, K].
 */
export function route(
  x: Float32Array,
  weight: Float32Array,
  node: Pick<RouterNode, 'experts' | 'topK' | 'score' | 'renormalize' | 'scale'>,
): { expertIds: Int32Array; weights: Float32Array } {
  const logits = linear(x, weight, weight.length / node.experts);
  const tokens = logits.length / node.experts;
  const expertIds = new Int32Array(tokens * node.topK);
  const weights = new Float32Array(tokens * node.topK);
  for (let t = 0; t < tokens; t += 1) {
    const scores = scoresOf(logits.subarray(t * node.experts, (t + 1) * node.experts), node.score);
    const order = [...scores.keys()].sort((a, b) => at(scores, b) - at(scores, a) || a - b);
    const chosen = order.slice(0, node.topK);
    const sum = node.renormalize ? chosen.reduce((total, e) => total + at(scores, e), 0) : 1;
    chosen.forEach((expert, k) => {
      expertIds[t * node.topK + k] = expert;
      weights[t * node.topK + k] = Math.fround(at(scores, expert) / sum) * node.scale;
    });
  }
  return { expertIds, weights };
}

/** logits [experts] → scores [experts] in f32: shares of one, or each logit alone. */
function scoresOf(logits: Float32Array, score: RouterNode['score']): Float32Array {
  return score === 'softmax'
    ? Float32Array.from(softmax(Float64Array.from(logits)))
    : logits.map(sigmoid);
}

/** One expert: x [rows, H], gate and up [width, H], down [H, width] → [rows, H]. */
export function expertFeedForward(
  x: Float32Array,
  expert: { gate: Float32Array; up: Float32Array; down: Float32Array },
  hidden: number,
): Float32Array {
  const width = expert.gate.length / hidden;
  const inner = swiglu(linear(x, expert.gate, hidden), linear(x, expert.up, hidden));
  return linear(inner, expert.down, width);
}

/**
 * residual[t] += Σₖ weights[t, k] · answers[t, k] for the chosen experts, in ascending k, every
 * step rounded to f32.
 */
export function combine(
  residual: Float32Array,
  routes: { expertIds: Int32Array; weights: Float32Array; answers: Float32Array },
  size: { tokens: number; topK: number; hidden: number },
): void {
  const { topK, hidden } = size;
  for (let t = 0; t < size.tokens; t += 1) {
    for (let i = 0; i < hidden; i += 1) {
      let sum = 0;
      for (let row = t * topK; row < (t + 1) * topK; row += 1) {
        if (at(routes.expertIds, row) < 0) continue;
        const part = Math.fround(at(routes.weights, row) * at(routes.answers, row * hidden + i));
        sum = Math.fround(sum + part);
      }
      residual[t * hidden + i] = at(residual, t * hidden + i) + sum;
    }
  }
}

/** Shares of one, exp(x − max) over their sum. */
function softmax(x: Float64Array): Float64Array {
  const max = x.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = x.map((value) => Math.exp(value - max));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function dot(
  a: Float32Array,
  aStart: number,
  b: Float32Array,
  bStart: number,
  length: number,
): number {
  let sum = 0;
  for (let i = 0; i < length; i += 1) {
    sum += (a[aStart + i] as number) * (b[bStart + i] as number);
  }
  return sum;
}

/** Every index here follows from shapes that the stages have validated. */
function at(array: Float32Array | Float64Array | Int32Array, index: number): number {
  return array[index] as number;
}
