/** @megascale/core/testing: contract suites, tiny models and the smallest driver. Needs vitest. */
export * from './backend/micro-batch.js';
export * from './backend/run-colocated.js';
export * from './seeded-random.js';
export * from './backend/tiny-models.js';
export * from './backend/backend-contract.js';
export * from './policy/policy-contract.js';
export * from './transport/transport-contract.js';
export * from './backend/expand-tensors.js';
export * from './family/family-contract.js';
export * from './until.js';
export * from './deferred.js';
