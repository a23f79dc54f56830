/** The simulator: one step, one instance, a fleet; under a simulated clock, in the order and by the policies that the engine runs. */
export * from './simulated-instance.js';
export type { SimulatedStep, StepSource } from './step/pipeline-simulation.js';
export * from './step/simulate-steps.js';
export * from './step/timeline.js';
export * from './load/request-trace.js';
export * from './load/requests.js';
export * from './load/token-lengths.js';
export * from './quantile-sketch.js';
export * from './random-stream.js';
export type * from './serve/faults.js';
export type { ServingReport, ServingSample, ServingTargets } from './serve/serving-metrics.js';
export * from './serve/simulate-serving.js';
export * from './step/simulated-trace.js';
export type { DayLoad } from './fleet/day-load.js';
export * from './fleet/simulate-fleet.js';
export * from './simulate-deployment.js';
export * from '../chart/series-chart.js';
