import { defaultAssumptions, type Assumptions } from '../cost/assumptions.js';
import { meanContextTokens } from '../deployment/deployment.js';
import type { ModelShape } from '../model/model-shape.js';
import {
  defaultLimits,
  type PlanObjective,
  type PlanRequest,
  type SearchLimits,
} from './plan-request.js';

/** What stays the same during a search. */
export interface SearchContext {
  readonly shape: ModelShape;
  readonly contextTokens: number;
  readonly stepUsMax: number;
  readonly objective: PlanObjective;
  readonly limits: SearchLimits;
  readonly assumptions: Assumptions;
}

export function searchContext(request: Omit<PlanRequest, 'attention' | 'expert'>): SearchContext {
  return {
    shape: request.shape,
    contextTokens: meanContextTokens(request.traffic),
    stepUsMax: request.slo.tpotMs * 1000,
    objective: request.objective ?? 'price',
    limits: { ...defaultLimits, ...request.limits },
    assumptions: request.assumptions ?? defaultAssumptions,
  };
}
