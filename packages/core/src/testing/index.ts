/** @megascale/core/testing: contract suites, tiny models and the smallest driver. Needs vitest. */
export * from './micro-batch.js';
export * from './run-colocated.js';
export * from './seeded-random.js';
export * from './tiny-models.js';
export * from './backend-contract.js';
export * from './policy-contract.js';
export * from './transport-contract.js';
export * from './expand-tensors.js';
export * from './family-contract.js';
