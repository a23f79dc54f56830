import { expertId, type ExpertId, type ExpertRank } from '../spec/units.js';

/** placement[expertId] = the expert ranks that hold it; a row goes to the first. */
export type Placement = readonly (readonly ExpertRank[])[];

/** The experts resident on `rank`, ascending: `ExpertStageOptions.experts` of that worker. */
export function residentExperts(placement: Placement, rank: ExpertRank): readonly ExpertId[] {
  return placement.flatMap((ranks, id) => (ranks.includes(rank) ? [expertId(id)] : []));
}

/**
 * [expertCount] where the rows of each expert go on `rank`: its place among the resident experts,
 * or -1 when they go to another rank. A replica that is not the first of its placement gets no
 * rows.
 */
export function localExpertTable(placement: Placement, rank: ExpertRank): Int32Array {
  const table = new Int32Array(placement.length).fill(-1);
  for (const [local, id] of residentExperts(placement, rank).entries()) {
    if (placement[id]?.[0] === rank) table[id] = local;
  }
  return table;
}
