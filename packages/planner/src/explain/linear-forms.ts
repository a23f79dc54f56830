import { distinctExperts } from '../cost/active-experts.js';
import type { StepCosts } from '../cost/step-costs.js';
import type { DisaggregatedDeployment } from '../deployment/deployment.js';
import { keysSeenWith, type ModelShape } from '../model/model-shape.js';

/**
 * The paper's T_a = k₁ b_a + k₂ and T_e = k₃ b_e + k₄, in µs, around one working point. b_e: rows
 * of one expert.
 */
export interface LinearForms {
  readonly k1: number;
  readonly k2: number;
  readonly k3: number;
  readonly k4: number;
}

/** Tangents of the times at b_a tokens of an attention worker and b_e rows of an expert. */
export function linearForms(
  shape: ModelShape,
  { expert }: DisaggregatedDeployment,
  costs: StepCosts,
  point: {
    readonly attentionTokens: number;
    readonly expertRows: number;
    readonly contextTokens: number;
  },
): LinearForms {
  const keys = keysSeenWith(shape, point.contextTokens);
  const [k1, k2] = tangent((tokens) => {
    const seen = tokens * keys;
    return costs.attentionTimeUs({ tokens, keysSeen: seen, keysRead: seen });
  }, point.attentionTokens);
  const share = shape.topK / (shape.expertCount * expert.replicas);
  const [k3, k4] = tangent(
    (rows) =>
      costs.expertTimeUs({
        rows: rows * expert.expertsPerWorker,
        distinctExperts: distinctExperts(expert.expertsPerWorker, share, rows / share),
      }),
    point.expertRows,
  );
  return { k1, k2, k3, k4 };
}

function tangent(time: (size: number) => number, at: number): readonly [number, number] {
  const step = Math.max(at * 1e-3, 1e-6);
  const slope = (time(at + step) - time(at)) / step;
  return [slope, time(at) - slope * at];
}
