import {
  ConfigError,
  expertRank,
  layerIndex,
  residentExperts,
  type ExpertId,
  type LayerIndex,
  type Placement,
} from '@megascale/core';

/** What changes on each expert rank when one placement follows another; [expert ranks] each, experts ascending. */
export interface MovePlan {
  readonly gained: readonly (readonly ExpertId[])[];
  readonly lost: readonly (readonly ExpertId[])[];
}

/** One expert's weights of one layer: the least that is loaded at a time. */
export interface ExpertLoad {
  readonly layer: LayerIndex;
  readonly expert: ExpertId;
}

/** The difference between two placements of the same experts on the same ranks. Ranks keep what both give them. */
export function planMove(from: Placement, to: Placement, expertWorkerCount: number): MovePlan {
  const of = (placement: Placement, without: Placement): ExpertId[][] =>
    Array.from({ length: expertWorkerCount }, (_, rank) => {
      const other = new Set(residentExperts(without, expertRank(rank)));
      return residentExperts(placement, expertRank(rank)).filter((id) => !other.has(id));
    });
  return { gained: of(to, from), lost: of(from, to) };
}

/** In the order of a checkpoint: layer by layer, and in a layer by expert. */
export function loadOrder(experts: readonly ExpertId[], layerCount: number): ExpertLoad[] {
  return Array.from({ length: layerCount }, (_, layer) =>
    experts.map((expert) => ({ layer: layerIndex(layer), expert })),
  ).flat();
}

/**
 * Holds loads to a rate: a load may begin while the bytes so far are no more than the rate allows. What was not used is saved for
 * `saveUs`, since a worker looks up only so often.
 */
export class MoveBudget {
  /** From when on the next load may begin. */
  #freeUs = -Infinity;

  constructor(
    private readonly bytesPerSecond: number,
    private readonly saveUs = 50_000,
  ) {}

  allows(nowUs: number): boolean {
    return nowUs >= this.#freeUs;
  }

  spend(bytes: number, nowUs: number): void {
    const fromUs = Math.max(this.#freeUs, nowUs - this.saveUs);
    this.#freeUs = fromUs + (bytes / this.bytesPerSecond) * 1e6;
  }
}

/**
 * Every expert has a holder, no holder is named twice, and all are there.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming the expert, what was found and what is allowed.
 */
export function checkMovedPlacement(
  placement: readonly (readonly number[])[],
  { expertCount, expertWorkerCount }: { expertCount: number; expertWorkerCount: number },
): void {
  if (placement.length !== expertCount) {
    throw invalid(
      'placement',
      placement.length,
      `ranks for each of ${String(expertCount)} experts`,
    );
  }
  for (const [id, ranks] of placement.entries()) {
    const path = `placement[${String(id)}]`;
    const most = String(expertWorkerCount);
    if (ranks.length === 0) throw invalid(path, '[]', 'at least one expert rank');
    const stranger = ranks.find(
      (rank) => !Number.isInteger(rank) || rank < 0 || rank >= expertWorkerCount,
    );
    if (stranger !== undefined) throw invalid(path, stranger, `expert ranks below ${most}`);
    if (new Set(ranks).size < ranks.length) {
      throw invalid(path, JSON.stringify(ranks), `each of the ${most} expert ranks at most once`);
    }
  }
}

function invalid(path: string, found: string | number, expected: string): ConfigError {
  return new ConfigError('ERR_CONFIG_FIELD', {
    message: `${path}: found ${String(found)}, expected ${expected}. The placement in force stays.`,
    details: { path, found, expected },
  });
}
