import type { StepCost } from '@megascale/core';

/**
 * The keys that `tokens` tokens from position `firstPosition` on see together: Σ (position + 1).
 */
export function keysSeenBy(firstPosition: number, tokens: number): number {
  return tokens * firstPosition + (tokens * (tokens + 1)) / 2;
}

/** What a step computed, and how long it took. */
export interface MeasuredStep {
  readonly tokens: number;
  /** Σ over its tokens of the keys each sees. */
  readonly keysSeen: number;
  readonly us: number;
}

const samplesMin = 16;
/** The weight of a step shrinks by this with each step after it: a few hundred steps count. */
const forgetting = 0.99;

/**
 * Learns what a step costs from steps that were measured: least squares with forgetting over (1,
 * tokens, keys seen). No coefficient is negative. A step that took many times what was expected,
 * because of another program, counts as three times that.
 */
export class StepCostLearner {
  /** Sums of products of (1, tokens, keys), and of each with the time. */
  readonly #products = new Float64Array(9);
  readonly #withTime = new Float64Array(3);
  #samples = 0;
  #cost: StepCost | undefined;

  /** Undefined until enough was measured. */
  get cost(): StepCost | undefined {
    return this.#cost;
  }

  add({ tokens, keysSeen, us }: MeasuredStep): void {
    if (!(us > 0) || !Number.isFinite(us) || tokens < 1) return;
    const expected =
      this.#cost === undefined ? Infinity : predictStepUs(this.#cost, { tokens, keysSeen });
    const time = Math.min(us, 3 * Math.max(expected, 1));
    const row = [1, tokens, keysSeen];
    for (let i = 0; i < 3; i += 1) {
      for (let j = 0; j < 3; j += 1) {
        this.#products[3 * i + j] =
          forgetting * (this.#products[3 * i + j] ?? 0) + (row[i] ?? 0) * (row[j] ?? 0);
      }
      this.#withTime[i] = forgetting * (this.#withTime[i] ?? 0) + (row[i] ?? 0) * time;
    }
    this.#samples += 1;
    if (this.#samples >= samplesMin) this.#cost = this.#fit();
  }

  #fit(): StepCost {
    let best: StepCost | undefined;
    let explained = -Infinity;
    for (const used of subsets) {
      const fitted = solve(this.#products, this.#withTime, used);
      if (fitted?.every((value) => value >= 0) !== true) continue;
      const at = (index: number): number => fitted[used.indexOf(index)] ?? 0;
      // At a least-squares fit, what is left of Σ time² is less by this much.
      const dot = fitted.reduce(
        (sum, value, i) => sum + value * (this.#withTime[used[i] ?? 0] ?? 0),
        0,
      );
      if (dot <= explained * (1 + 1e-12)) continue;
      explained = dot;
      best = { fixedUs: at(0), tokenUs: at(1), contextTokenUs: at(2) };
    }
    if (best !== undefined) return best;
    const mean = (this.#withTime[0] ?? 0) / (this.#products[0] ?? 1);
    return { fixedUs: mean, tokenUs: 0, contextTokenUs: 0 };
  }
}

/**
 * Of (1, tokens, keys), those that take part in a fit. The learner keeps the best fit without
 * negative coefficients.
 */
const subsets: readonly (readonly number[])[] = [[0, 1, 2], [0, 1], [1, 2], [0, 2], [1], [0], [2]];

/** Microseconds that a step of so many tokens, which see so many keys, is expected to take. */
export function predictStepUs(
  { fixedUs, tokenUs, contextTokenUs }: StepCost,
  { tokens, keysSeen }: Pick<MeasuredStep, 'tokens' | 'keysSeen'>,
): number {
  return fixedUs + tokenUs * tokens + contextTokenUs * keysSeen;
}

/**
 * Gaussian elimination on the chosen rows and columns; undefined where they do not determine the
 * coefficients.
 */
function solve(
  products: Float64Array,
  withTime: Float64Array,
  used: readonly number[],
): number[] | undefined {
  const rows = used.map((i) => [...used.map((j) => products[3 * i + j] ?? 0), withTime[i] ?? 0]);
  for (const [column, row] of rows.entries()) {
    const diagonal = products[3 * (used[column] ?? 0) + (used[column] ?? 0)] ?? 0;
    const pivot = row[column] ?? 0;
    if (!(Math.abs(pivot) > 1e-9 * diagonal)) return undefined;
    for (const [index, other] of rows.entries()) {
      if (index === column) continue;
      const factor = (other[column] ?? 0) / pivot;
      for (let place = 0; place < other.length; place += 1) {
        other[place] = (other[place] ?? 0) - factor * (row[place] ?? 0);
      }
    }
  }
  return rows.map((row, index) => (row.at(-1) ?? 0) / (row[index] ?? 1));
}
