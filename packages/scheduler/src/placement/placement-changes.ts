import { expertRank, type ExpertRank, type LayerPlacement } from '@megascale/core';
import type { PlacementCost } from './placement-cost.js';

/**
 * How many are looked at: of the experts that make a rank the busiest, of ranks that could take
 * them, of experts that could give way.
 */
const expertsMax = 6;
const ranksMax = 2;
const yieldingMax = 2;

/**
 * Placements of a layer that differ from this one by one change that may help, none with more than
 * `slotsPerWorker` experts on a rank.
 */
export function* placementChanges(
  cost: PlacementCost,
  layer: number,
  placement: LayerPlacement,
  slotsPerWorker: number,
): Generator<LayerPlacement, void> {
  const found = pressures(cost, layer, placement);
  const held = Array<number>(cost.expertWorkers).fill(0);
  for (const ranks of placement) for (const rank of ranks) held[rank] = (held[rank] ?? 0) + 1;
  for (const { id, rank: from } of hottest(found.pressure, placement)) {
    for (const to of calmest(found.slack, placement[id] ?? [])) {
      const more = edit(placement, id, to, undefined);
      const hasRoom = (held[to] ?? 0) < slotsPerWorker;
      if (hasRoom) {
        yield more;
        yield edit(placement, id, to, from);
      }
      const others = coldest(found.rows, placement, to, id);
      for (const other of others) {
        const isCopy = (placement[other]?.length ?? 0) > 1;
        if (isCopy && !hasRoom) yield edit(more, other, undefined, to);
        // The two trade places; where there is a copy of one at the other's place already, it just
        // goes.
        const away = placement[other]?.includes(expertRank(from)) === true ? undefined : from;
        yield edit(edit(placement, id, to, from), other, away, to);
      }
    }
  }
  yield* drops(placement, held, slotsPerWorker);
}

/** A rank that holds too many, as after the slots became fewer, gives up copies. */
function* drops(
  placement: LayerPlacement,
  held: readonly number[],
  slotsPerWorker: number,
): Generator<LayerPlacement, void> {
  for (const [id, ranks] of placement.entries()) {
    if (ranks.length < 2) continue;
    for (const rank of ranks) {
      if ((held[rank] ?? 0) > slotsPerWorker) yield edit(placement, id, undefined, rank);
    }
  }
}

interface Pressures {
  /** [experts × ranks] rows on the rank that is the busiest, by how much it is; 0 on the others. */
  readonly pressure: Float64Array;
  /** [experts × ranks] rows on the rank. */
  readonly rows: Float64Array;
  /** [ranks] how far it stays below the mean. */
  readonly slack: Float64Array;
}

function pressures(cost: PlacementCost, layer: number, placement: LayerPlacement): Pressures {
  const { expertWorkers, expertCount } = cost;
  const pressure = new Float64Array(expertCount * expertWorkers);
  const rows = new Float64Array(expertCount * expertWorkers);
  const ideal = cost.ideals[layer] ?? 0;
  const splitter = cost.split(placement, layer);
  const { holders, holdersStart, costOfRank } = splitter;
  const slack = Float64Array.from(costOfRank, (own) => ideal - own);
  if (ideal === 0) return { pressure, rows, slack };
  let busiest = 0;
  for (let rank = 0; rank < expertWorkers; rank++) {
    if ((costOfRank[rank] ?? 0) > (costOfRank[busiest] ?? 0)) busiest = rank;
  }
  const excess = (costOfRank[busiest] ?? 0) / ideal - 1;
  for (let id = 0; id < expertCount; id++) {
    for (let at = holdersStart[id] ?? 0; at < (holdersStart[id + 1] ?? 0); at++) {
      const rank = holders[at] ?? 0;
      const cell = id * expertWorkers + rank;
      rows[cell] = cost.costOf(splitter.rows[at] ?? 0);
      if (rank === busiest) pressure[cell] = excess * rows[cell];
    }
  }
  return { pressure, rows, slack };
}

function hottest(
  pressure: Float64Array,
  placement: LayerPlacement,
): { id: number; rank: number }[] {
  const workers = pressure.length / placement.length;
  return greatestFirst(pressure)
    .slice(0, expertsMax)
    .map((cell) => ({ id: Math.floor(cell / workers), rank: cell % workers }));
}

function calmest(slack: Float64Array, holders: readonly ExpertRank[]): number[] {
  return [...slack.keys()]
    .filter((rank) => !holders.includes(expertRank(rank)))
    .sort((a, b) => (slack[b] ?? 0) - (slack[a] ?? 0) || a - b)
    .slice(0, ranksMax);
}

/**
 * Of the experts on the rank but this one: the copies and the single ones that have fewest rows
 * there.
 */
function coldest(
  rows: Float64Array,
  placement: LayerPlacement,
  rank: number,
  except: number,
): number[] {
  const workers = rows.length / placement.length;
  const here = [...placement.keys()].filter(
    (id) => id !== except && placement[id]?.includes(expertRank(rank)) === true,
  );
  const count = (id: number): number => rows[id * workers + rank] ?? 0;
  here.sort((a, b) => count(a) - count(b) || a - b);
  const isCopy = (id: number): boolean => (placement[id]?.length ?? 0) > 1;
  const copies = here.filter(isCopy).slice(0, yieldingMax);
  return [...copies, ...here.filter((id) => !isCopy(id)).slice(0, yieldingMax)];
}

function greatestFirst(values: Float64Array): number[] {
  const cells = [...values.keys()].filter((cell) => (values[cell] ?? 0) > 0);
  return cells.sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0) || a - b);
}

/** The placement with an expert also on `to`, and no longer on `from`. */
function edit(
  placement: LayerPlacement,
  id: number,
  to: number | undefined,
  from: number | undefined,
): LayerPlacement {
  return placement.map((ranks, each) => {
    if (each !== id) return ranks;
    const left = ranks.filter((rank) => rank !== from);
    return to === undefined ? left : [...left, expertRank(to)].sort((a, b) => a - b);
  });
}
