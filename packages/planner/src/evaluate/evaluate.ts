import { defaultAssumptions, type Assumptions } from '../cost/assumptions.js';
import type { StepCosts } from '../cost/step-costs.js';
import type { Deployment } from '../deployment/deployment.js';
import type { ModelShape } from '../model/model-shape.js';
import { colocatedCosts, evaluateColocated } from './colocated.js';
import type { DecodeEvaluation, Objective } from './decode-evaluation.js';
import { disaggregatedCosts, evaluateDisaggregated } from './disaggregated.js';

/** What this deployment does in decode; `costs` default to the datasheets'. */
export function evaluateDecode(
  shape: ModelShape,
  deployment: Deployment,
  objective: Objective,
  assumptions: Assumptions = defaultAssumptions,
  costs: StepCosts = costsOf(shape, deployment, assumptions),
): DecodeEvaluation {
  return deployment.kind === 'colocated'
    ? evaluateColocated(shape, deployment, objective, assumptions, costs)
    : evaluateDisaggregated(shape, deployment, objective, assumptions, costs);
}

/** The datasheets' times for the pools of this deployment. */
export function costsOf(
  shape: ModelShape,
  deployment: Deployment,
  assumptions: Assumptions = defaultAssumptions,
): StepCosts {
  return deployment.kind === 'colocated'
    ? colocatedCosts(shape, deployment, assumptions)
    : disaggregatedCosts(shape, deployment, assumptions);
}
