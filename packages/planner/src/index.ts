/** @megascale/planner: what to deploy. Cost model, catalogue, plan search; runs no model. */
export {
  type Accelerator,
  type Network,
  acceleratorSchema,
  networkSchema,
} from './catalogue/accelerator.js';
export {
  type Catalogue,
  builtInCatalogue,
  findAccelerator,
  findNetwork,
  mergeCatalogues,
  parseCatalogue,
  withNetwork,
} from './catalogue/catalogue.js';
export { planChart } from './chart/plan-chart.js';
export { type ChartSeries, type SeriesChart, seriesChart } from './chart/series-chart.js';
export { escapeXml, svgNumber, svgText } from './chart/svg.js';
export {
  type AcceleratorCostsOptions,
  type WorkerHardware,
  createAcceleratorCosts,
} from './cost/accelerator-costs.js';
export { type Assumptions, defaultAssumptions } from './cost/assumptions.js';
export type { AttentionWork, ExpertWork, StepCosts, TransferWork } from './cost/step-costs.js';
export { deploymentText } from './deployment/deployment-text.js';
export type {
  ColocatedDeployment,
  Deployment,
  DisaggregatedDeployment,
  Pool,
  Slo,
  Traffic,
} from './deployment/deployment.js';
export { type PlanFileInput, makePlanFile } from './deployment/make-plan-file.js';
export { parsePlanFile, requireSameModel } from './deployment/parse-plan-file.js';
export { type PlanFile, planSchema } from './deployment/plan-schema.js';
export {
  type DecodeEvaluation,
  type HardwareTotals,
  type MemoryUse,
  type MicroBatchWork,
  type Objective,
  hardwareTotals,
  poolsOf,
} from './evaluate/decode-evaluation.js';
export { evaluateDecode } from './evaluate/evaluate.js';
export { type PlanExplanation, explainPlan } from './explain/explain-plan.js';
export type { LinearForms } from './explain/linear-forms.js';
export type { NextStep } from './explain/next-accelerator.js';
export type { Roofline } from './explain/roofline.js';
export type { Verdict } from './explain/verdict.js';
export { type ElementBytes, deriveModelShape } from './model/derive-model-shape.js';
export type {
  AttentionCost,
  EdgeCost,
  ExpertCost,
  MessageCost,
  ModelShape,
} from './model/model-shape.js';
export { type NamedModel, namedModelShape, namedModels } from './model/named-models.js';
export { type PaperSetting, paperSetting } from './paper/paper-systems.js';
export { type PaperRow, paperTable } from './paper/paper-table.js';
export { type WantedDeployment, deployOnCores } from './profile/deploy-on-cores.js';
export { type FitSample, fitNonNegative, medianOf } from './profile/fit-non-negative.js';
export {
  type AttentionFit,
  type AttentionSample,
  type EdgeFit,
  type EdgeSample,
  type ExpertFit,
  type ExpertSample,
  attentionFitUs,
  edgeFitUs,
  expertFitUs,
  fitAttention,
  fitEdge,
  fitExperts,
} from './profile/half-fits.js';
export {
  type HandoverProfile,
  type MachineProfile,
  type PoolProfile,
  parseMachineProfile,
  profileSchema,
} from './profile/machine-profile.js';
export {
  type MachineCandidate,
  type MachinePlan,
  type MachinePlanRequest,
  machinePlanFile,
  planOnMachine,
} from './profile/plan-on-machine.js';
export {
  type DecodePrediction,
  type DecodeWorkload,
  type MachineDeployment,
  predictDecode,
} from './profile/predict-decode.js';
export { createProfileCosts } from './profile/profile-costs.js';
export { type MeasuredRun, type MeasuredTimes, recalibrate } from './profile/recalibrate.js';
export { fitEffectiveExperts } from './profile/route-spread.js';
export {
  type TransportPoint,
  type TransportProfile,
  fitTransport,
} from './profile/transport-profile.js';
export { type WalkTimes, walkStepUs } from './profile/walk-step-us.js';
export type { Candidate, PlanObjective, PlanRequest, SearchLimits } from './search/plan-request.js';
export { type SearchContext, searchContext } from './search/search-context.js';
export { type SearchResult, searchPlans } from './search/search-plans.js';
export { type PrefillPlan, searchPrefill } from './search/search-prefill.js';
export type { DayLoad } from './simulator/fleet/day-load.js';
export type { FleetFaults, FleetRouter, FleetRun } from './simulator/fleet/fleet-run.js';
export {
  type FleetReport,
  type FleetSample,
  simulateFleet,
} from './simulator/fleet/simulate-fleet.js';
export { parseRequestTrace, traceLimits } from './simulator/load/request-trace.js';
export {
  type Arrivals,
  type SimulatedRequest,
  type Workload,
  drawRequests,
  requestsMax,
} from './simulator/load/requests.js';
export {
  type LengthDistribution,
  type TokenLengths,
  paperLengths,
} from './simulator/load/token-lengths.js';
export type { QuantileSummary } from './simulator/quantile-sketch.js';
export { RandomStream } from './simulator/random-stream.js';
export type { Faults, Straggler, WorkerFailure } from './simulator/serve/faults.js';
export type {
  ServingReport,
  ServingSample,
  ServingTargets,
} from './simulator/serve/serving-metrics.js';
export type { ServingLimits, ServingRun } from './simulator/serve/serving-run.js';
export { type ServingResult, simulateServing } from './simulator/serve/simulate-serving.js';
export {
  type SimulatedDeployment,
  type SimulatedDeploymentOptions,
  simulatedDeployment,
} from './simulator/simulate-deployment.js';
export type { SimulatedGather, SimulatedInstance } from './simulator/simulated-instance.js';
export type { SimulatedStep, StepSource } from './simulator/step/pipeline-parts.js';
export {
  type StepLoad,
  type StepRun,
  type StepRunResult,
  simulateSteps,
} from './simulator/step/simulate-steps.js';
export { simulatedTrace } from './simulator/step/simulated-trace.js';
export {
  type SimulatedEvent,
  type SimulatedKind,
  simulatedKinds,
} from './simulator/step/timeline.js';
