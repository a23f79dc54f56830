import type { Placement } from './local-experts.js';

/**
 * Chooses the replicas that take the rows of a micro-batch: a pure function of its expert ids and the placement, the same wherever it is
 * evaluated. A worker's time grows with the distinct experts it has to read rather than with their rows, so it is these that are spread
 * (activated-expert-balanced scheduling of Janus, arXiv 2512.13525, Algorithm 1): experts with one holder first, then each replicated
 * one, ascending, goes to the rank with the fewest experts so far; among equals to the one with fewer rows, then to the lower rank. All
 * rows of an expert go to one rank, so that its weights are read once.
 */
export class ReplicaBalancer {
  /** Whether any expert has more than one holder: else the choice is always the same. */
  readonly hasReplicas: boolean;
  /** [expertCount] the rank that takes an expert's rows: of the experts in the ids last balanced. */
  readonly rankOfExpert: Int32Array;
  /** [expertCount] */
  private readonly rowsOfExpert: Int32Array;
  /** [replicated experts] ascending, and where the holders of each begin in `holders`. */
  private readonly replicated: Int32Array;
  private readonly holdersStart: Int32Array;
  private readonly holders: Int32Array;
  /** [expert ranks] activated experts, and rows. */
  private readonly expertsOfRank: Int32Array;
  private readonly rowsOfRank: Int32Array;

  constructor(placement: Placement, expertWorkerCount: number) {
    const replicated = [...placement.keys()].filter((id) => (placement[id]?.length ?? 0) > 1);
    const holders = replicated.map((id) => [...(placement[id] ?? [])].sort((a, b) => a - b));
    this.hasReplicas = replicated.length > 0;
    this.rankOfExpert = Int32Array.from(placement, (ranks) => ranks[0] ?? -1);
    this.rowsOfExpert = new Int32Array(placement.length);
    this.replicated = Int32Array.from(replicated);
    this.holders = Int32Array.from(holders.flat());
    this.holdersStart = new Int32Array(replicated.length + 1);
    for (const [index, ranks] of holders.entries()) {
      this.holdersStart[index + 1] = (this.holdersStart[index] ?? 0) + ranks.length;
    }
    this.expertsOfRank = new Int32Array(expertWorkerCount);
    this.rowsOfRank = new Int32Array(expertWorkerCount);
  }

  /** Fills `rankOfExpert` for the first `count` ids; ids that are no expert's are passed over. Allocates nothing. */
  balance(expertIds: Int32Array, count: number): void {
    if (!this.hasReplicas) return;
    const { rankOfExpert, rowsOfExpert, replicated } = this;
    this.expertsOfRank.fill(0);
    this.rowsOfRank.fill(0);
    rowsOfExpert.fill(0);
    for (let index = 0; index < count; index++) {
      const id = expertIds[index] ?? -1;
      if (id >= 0 && id < rowsOfExpert.length) rowsOfExpert[id] = (rowsOfExpert[id] ?? 0) + 1;
    }
    let next = 0;
    for (let id = 0; id < rowsOfExpert.length; id++) {
      if (replicated[next] === id) next++;
      else if ((rowsOfExpert[id] ?? 0) > 0) this.load(id, rankOfExpert[id] ?? 0);
    }
    for (let index = 0; index < replicated.length; index++) {
      const id = replicated[index] ?? 0;
      if ((rowsOfExpert[id] ?? 0) === 0) continue;
      const rank = this.leastLoaded(index);
      rankOfExpert[id] = rank;
      this.load(id, rank);
    }
  }

  private load(id: number, rank: number): void {
    this.expertsOfRank[rank] = (this.expertsOfRank[rank] ?? 0) + 1;
    this.rowsOfRank[rank] = (this.rowsOfRank[rank] ?? 0) + (this.rowsOfExpert[id] ?? 0);
  }

  /** Of the holders of a replicated expert, which ascend: of equals the first stays. */
  private leastLoaded(index: number): number {
    const { holders, holdersStart, expertsOfRank, rowsOfRank } = this;
    const end = holdersStart[index + 1] ?? 0;
    let best = holders[holdersStart[index] ?? 0] ?? 0;
    for (let holder = (holdersStart[index] ?? 0) + 1; holder < end; holder++) {
      const rank = holders[holder] ?? 0;
      const fewer = (expertsOfRank[rank] ?? 0) - (expertsOfRank[best] ?? 0);
      const fewerRows = (rowsOfRank[rank] ?? 0) - (rowsOfRank[best] ?? 0);
      if (fewer < 0 || (fewer === 0 && fewerRows < 0)) best = rank;
    }
    return best;
  }
}
