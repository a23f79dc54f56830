import { expertId, type ExpertId, type ExpertRank } from '../spec/units.js';

/** placement[expertId] = the expert ranks that hold it; `ReplicaBalancer` says which of them takes a micro-batch's rows. */
export type Placement = readonly (readonly ExpertRank[])[];

/** The experts resident on `rank`, ascending: `ExpertStageOptions.experts` of that worker. */
export function residentExperts(placement: Placement, rank: ExpertRank): readonly ExpertId[] {
  return placement.flatMap((ranks, id) => (ranks.includes(rank) ? [expertId(id)] : []));
}

/** [expertCount] 1 for each expert that is resident on `rank`, else 0. */
export function residentTable(placement: Placement, rank: ExpertRank): Uint8Array {
  return Uint8Array.from(placement, (ranks) => (ranks.includes(rank) ? 1 : 0));
}
