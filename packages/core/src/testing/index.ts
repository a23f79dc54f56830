/** @megascale/core/testing: contract suites, tiny models and the smallest driver. Needs vitest. */
export { backendContract, type BackendContractOptions } from './backend/backend-contract.js';
export type { BackendBound } from './backend/backend-under-test.js';
export { type BatchedSequence, microBatch } from './backend/micro-batch.js';
export {
  type Colocated,
  type ColocatedOptions,
  type LocalExperts,
  openColocated,
  promptLogits,
} from './backend/run-colocated.js';
export {
  tinyFamilies,
  tinyMixtral,
  type TinyModel,
  type TinyModelOptions,
  tinyQwen3Moe,
} from './backend/tiny-models.js';
export { deferred, type Deferred } from './deferred.js';
export { familyContract, type FamilyContractOptions } from './family/family-contract.js';
export { policyContract, type PolicyContractOptions } from './policy/policy-contract.js';
export { SeededRandom } from './seeded-random.js';
export {
  transportContract,
  type TransportContractOptions,
} from './transport/transport-contract.js';
export { runTransportParticipant } from './transport/transport-participant.js';
export {
  endOfRank,
  type AttentionAction,
  type CommonAction,
  type ExpertAction,
  type MessageFromParticipant,
  type MessageToParticipant,
  type ParticipantPlan,
  type ParticipantReport,
  type PlainTransportOptions,
} from './transport/transport-script.js';
export {
  type Participant,
  participantProcesses,
  participantThreads,
  type TeamPlan,
  type TeamReport,
  TransportTeam,
} from './transport/transport-team.js';
export { until } from './until.js';
