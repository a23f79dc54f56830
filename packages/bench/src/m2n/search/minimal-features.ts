import type { Dimension, Level, Point, Space } from './space.js';

/** What one dimension must be for an anomaly to show. */
export interface Feature {
  readonly dimension: string;
  readonly relation: 'is' | 'atLeast' | 'atMost';
  readonly level: Level;
  /** A level at which it does not show, and what was found there. */
  readonly instead: { readonly level: Level; readonly excess: number };
}

export interface Judgement {
  readonly excess: number;
  readonly isAnomalous: boolean;
}

/**
 * The dimensions without which the anomaly at `point` does not show: each is set to its bounds (to
 * every other level where there is no order) while the rest stays, and drops out when the anomaly
 * stays at all of them.
 */
export async function minimalFeatures(
  space: Space,
  point: Point,
  judge: (point: Point) => Promise<Judgement>,
): Promise<Feature[]> {
  const features: Feature[] = [];
  for (const dimension of space.dimensions) {
    const found = await featureOf(space, dimension, point, judge);
    if (found !== undefined) features.push(found);
  }
  return features;
}

async function featureOf(
  space: Space,
  dimension: Dimension,
  point: Point,
  judge: (point: Point) => Promise<Judgement>,
): Promise<Feature | undefined> {
  const { name, isOrdered } = dimension;
  const levels = dimension.levels.filter((level) => space.allows({ ...point, [name]: level }));
  const at = levels.indexOf(point[name] ?? '');
  const judgeAt = (index: number): Promise<Judgement> =>
    judge({ ...point, [name]: levels[index] ?? '' });
  const feature = (
    relation: Feature['relation'],
    index: number,
    other: number,
    excess: number,
  ) => ({
    dimension: name,
    relation,
    level: levels[index] ?? '',
    instead: { level: levels[other] ?? '', excess },
  });
  if (!isOrdered) {
    for (let other = 0; other < levels.length; other++) {
      if (other === at) continue;
      const { isAnomalous, excess } = await judgeAt(other);
      if (!isAnomalous) return feature('is', at, other, excess);
    }
    return undefined;
  }
  const last = levels.length - 1;
  const low = at === 0 ? undefined : await judgeAt(0);
  const high = at === last ? undefined : await judgeAt(last);
  const endsBelow = low?.isAnomalous === false;
  const endsAbove = high?.isAnomalous === false;
  if (endsBelow && endsAbove) return feature('is', at, 0, low.excess);
  if (endsBelow) return feature('atLeast', await edge(at, 0, judgeAt), 0, low.excess);
  if (endsAbove) return feature('atMost', await edge(at, last, judgeAt), last, high.excess);
  return undefined;
}

/** The level nearest to `calm` that is still anomalous, between it and `anomalous`, by halving. */
async function edge(
  anomalous: number,
  calm: number,
  judgeAt: (index: number) => Promise<Judgement>,
): Promise<number> {
  let inside = anomalous;
  let outside = calm;
  while (Math.abs(inside - outside) > 1) {
    const middle = Math.trunc((inside + outside) / 2);
    if ((await judgeAt(middle)).isAnomalous) inside = middle;
    else outside = middle;
  }
  return inside;
}

/** Whether a point has all of these features. */
export function hasFeatures(point: Point, features: readonly Feature[]): boolean {
  return features.every(({ dimension, relation, level }) => {
    const own = point[dimension];
    if (own === undefined) return false;
    switch (relation) {
      case 'is':
        return own === level;
      case 'atLeast':
        return own >= level;
      case 'atMost':
        return own <= level;
    }
  });
}
