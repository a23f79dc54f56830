import { expertId, type ExpertId, type ExpertRank } from '../spec/units.js';

/**
 * The placement of one layer: [expertId] the expert ranks that hold the expert. `ReplicaBalancer`
 * decides which of them takes a row.
 */
export type LayerPlacement = readonly (readonly ExpertRank[])[];

/**
 * placement[layer][expertId] = the expert ranks that hold the expert. A placement with one layer
 * serves all layers.
 */
export type Placement = readonly LayerPlacement[];

/** The item of this layer, in a list with one item per layer or with one item for all layers. */
export function ofLayer<Item>(items: readonly Item[], layer: number): Item | undefined {
  return items[items.length === 1 ? 0 : layer];
}

/**
 * The placement of this layer.
 *
 * @throws RangeError for a layer that the placement does not have.
 */
export function layerPlacement(placement: Placement, layer: number): LayerPlacement {
  const own = ofLayer(placement, layer);
  if (own === undefined) throw new RangeError(`The placement has no layer ${layer}.`);
  return own;
}

/** The experts of one layer that are resident on `rank`, ascending. */
export function residentExperts(placement: LayerPlacement, rank: ExpertRank): readonly ExpertId[] {
  return placement.flatMap((ranks, id) => (ranks.includes(rank) ? [expertId(id)] : []));
}

/**
 * [layers] the experts resident on `rank`, ascending, as `ExpertStageOptions.experts` wants them.
 */
export function residentExpertsByLayer(
  placement: Placement,
  rank: ExpertRank,
  layerCount: number,
): readonly (readonly ExpertId[])[] {
  return Array.from({ length: layerCount }, (_, layer) =>
    residentExperts(layerPlacement(placement, layer), rank),
  );
}

/** [expertCount] 1 for each expert of one layer that is resident on `rank`, else 0. */
export function residentTable(placement: LayerPlacement, rank: ExpertRank): Uint8Array {
  return Uint8Array.from(placement, (ranks) => (ranks.includes(rank) ? 1 : 0));
}
