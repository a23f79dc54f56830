import {
  ConfigError,
  expertRank,
  layerIndex,
  residentExpertsByLayer,
  type ExpertId,
  type LayerIndex,
  type Placement,
} from '@megascale/core';

/** One expert's weights of one layer: the least that is loaded or dropped at a time. */
export interface LayerExpert {
  readonly layer: LayerIndex;
  readonly expert: ExpertId;
}

/**
 * What changes on each expert rank when one placement follows another; [expert ranks] each, in the
 * order of a checkpoint: by layer, then by expert.
 */
export interface MovePlan {
  readonly gained: readonly (readonly LayerExpert[])[];
  readonly lost: readonly (readonly LayerExpert[])[];
}

/**
 * The difference between two placements of the same layers and experts on the same ranks. Ranks
 * keep what both give them.
 */
export function planMove(
  from: Placement,
  to: Placement,
  { expertWorkerCount, layerCount }: { expertWorkerCount: number; layerCount: number },
): MovePlan {
  const of = (placement: Placement, without: Placement): LayerExpert[][] =>
    Array.from({ length: expertWorkerCount }, (_, rank) => {
      const own = residentExpertsByLayer(placement, expertRank(rank), layerCount);
      return expertsBesides(own, residentExpertsByLayer(without, expertRank(rank), layerCount));
    });
  return { gained: of(to, from), lost: of(from, to) };
}

/** [layers] each: the experts that `other` does not have. */
export function expertsBesides(
  experts: readonly Iterable<ExpertId>[],
  other: readonly Iterable<ExpertId>[],
): LayerExpert[] {
  return experts.flatMap((ids, layer) => {
    const known = new Set(other[layer]);
    const left = [...ids].filter((id) => !known.has(id));
    return left.map((expert) => ({ layer: layerIndex(layer), expert }));
  });
}

/**
 * Holds loads to a rate: a load may begin while the bytes so far are no more than the rate allows.
 * What was not used is saved for `saveUs`, since a worker looks up only so often.
 */
export class MoveBudget {
  /** From when on the next load may begin. */
  #freeUs = -Infinity;

  readonly #bytesPerSecond: number;
  readonly #saveUs: number;

  constructor(bytesPerSecond: number, saveUs = 50_000) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#saveUs = saveUs;
  }

  allows(nowUs: number): boolean {
    return nowUs >= this.#freeUs;
  }

  spend(bytes: number, nowUs: number): void {
    const fromUs = Math.max(this.#freeUs, nowUs - this.#saveUs);
    this.#freeUs = fromUs + (bytes / this.#bytesPerSecond) * 1e6;
  }
}

/**
 * Every expert of every layer has a holder, no holder is named twice, and all are there. One layer
 * is every layer.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming layer and expert, what was found and what is
 *   allowed.
 */
export function checkMovedPlacement(
  placement: unknown,
  sizes: { layerCount: number; expertCount: number; expertWorkerCount: number },
): asserts placement is Placement {
  const { layerCount, expertCount, expertWorkerCount } = sizes;
  const oneOrAll = `one for each of ${String(layerCount)} layers, or one for all`;
  const layers = listAt('placement', placement, oneOrAll);
  if (layers.length !== 1 && layers.length !== layerCount) {
    throw invalid('placement', layers.length, oneOrAll);
  }
  for (const [layer, ofLayer] of layers.entries()) {
    const path = `placement[${String(layer)}]`;
    const ofEach = `ranks for each of ${String(expertCount)} experts`;
    const experts = listAt(path, ofLayer, ofEach);
    if (experts.length !== expertCount) throw invalid(path, experts.length, ofEach);
    for (const [id, ranks] of experts.entries()) {
      checkHolders(`${path}[${String(id)}]`, ranks, expertWorkerCount);
    }
  }
}

function checkHolders(path: string, holders: unknown, expertWorkerCount: number): void {
  const most = String(expertWorkerCount);
  const ranks = listAt(path, holders, `a list of expert ranks below ${most}`);
  if (ranks.length === 0) throw invalid(path, '[]', 'at least one expert rank');
  const isRank = (rank: unknown): boolean =>
    Number.isInteger(rank) && (rank as number) >= 0 && (rank as number) < expertWorkerCount;
  for (const rank of ranks) {
    if (!isRank(rank)) throw invalid(path, JSON.stringify(rank), `expert ranks below ${most}`);
  }
  if (new Set(ranks).size < ranks.length) {
    throw invalid(path, JSON.stringify(ranks), `each of the ${most} expert ranks at most once`);
  }
}

function listAt(path: string, value: unknown, expected: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(path, JSON.stringify(value), expected);
  return value;
}

function invalid(path: string, found: string | number, expected: string): ConfigError {
  return new ConfigError('ERR_CONFIG_FIELD', {
    message: `${path}: found ${String(found)}, expected ${expected}. The placement in force stays.`,
    details: { path, found, expected },
  });
}
