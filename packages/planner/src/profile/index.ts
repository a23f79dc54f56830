/** What a machine was measured to take, and what a deployment on it will take. */
export * from './deploy-on-cores.js';
export { fitNonNegative, medianOf, type FitSample } from './fit-non-negative.js';
export * from './half-fits.js';
export * from './machine-profile.js';
export * from './plan-on-machine.js';
export * from './predict-decode.js';
export * from './profile-costs.js';
export * from './recalibrate.js';
export { fitEffectiveExperts } from './route-spread.js';
export * from './transport-profile.js';
export { walkStepUs, type WalkTimes } from './walk-step-us.js';
