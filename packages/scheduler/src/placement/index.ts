/** Where experts are: loads, their traces, and plans of who holds which. */
export * from './decaying-loads.js';
export * from './expert-loads.js';
export * from './improve-placement.js';
export { loadTraceFormat } from './trace/load-trace-format.js';
export * from './trace/load-trace-reader.js';
export * from './trace/load-trace-writer.js';
export * from './move-phases.js';
export * from './move-plan.js';
export * from './placement-cost.js';
export * from './placement-planner.js';
export * from './plan-placement.js';
export * from './redundancy-plan.js';
export { uniformPlacement } from './uniform-placement.js';
export * from './zipf-loads.js';
