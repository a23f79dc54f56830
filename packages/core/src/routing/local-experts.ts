import { expertId, type ExpertId, type ExpertRank } from '../spec/units.js';

/** placement[expertId] = the expert ranks that hold it; `ReplicaBalancer` says which of them takes a micro-batch's rows. */
export type Placement = readonly (readonly ExpertRank[])[];

/** The experts resident on `rank`, ascending: `ExpertStageOptions.experts` of that worker. */
export function residentExperts(placement: Placement, rank: ExpertRank): readonly ExpertId[] {
  return placement.flatMap((ranks, id) => (ranks.includes(rank) ? [expertId(id)] : []));
}

/** [expertCount] the place of each expert among those resident on `rank`, or -1 where it is not. */
export function localExpertTable(placement: Placement, rank: ExpertRank): Int32Array {
  const table = new Int32Array(placement.length).fill(-1);
  for (const [local, id] of residentExperts(placement, rank).entries()) table[id] = local;
  return table;
}
