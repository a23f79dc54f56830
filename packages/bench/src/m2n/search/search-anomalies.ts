import { hasFeatures, minimalFeatures, type Feature, type Judgement } from './minimal-features.js';
import { mutate, randomPoint, type Point, type Random, type Space } from './space.js';

/** How many times slower than predicted a point is, and by which figure. */
export interface Verdict {
  readonly excess: number;
  readonly figure: string;
}

export interface Anomaly extends Verdict {
  /** Where it was found. */
  readonly point: Point;
  /** What it takes, and nothing else: found one by one. */
  readonly features: readonly Feature[];
}

export interface SearchOptions {
  readonly space: Space;
  readonly measure: (point: Point) => Promise<Verdict>;
  /** From this excess on it is an anomaly. */
  readonly factor: number;
  readonly random: Random;
  /** Asked before each walk and each of its steps; what was found is always taken to its end. */
  readonly mayGoOn: () => boolean;
  readonly onAnomaly?: (anomaly: Anomaly) => void;
}

/**
 * Temperature, of the excess's logarithm: worse points are taken at first, hardly any at the end of
 * a walk.
 */
const hottest = 1;
const cooling = 0.9;
const coldest = 0.05;

/**
 * Simulated annealing towards points that are slower than predicted. Each anomaly is reduced to its
 * minimal set of features; points with the features of a known one are not looked at again. The
 * idea is Collie's (NSDI '22), for anomalies of network cards.
 */
export async function searchAnomalies(options: SearchOptions): Promise<Anomaly[]> {
  const { space, random, mayGoOn, factor } = options;
  const found: Anomaly[] = [];
  const isNew = (point: Point): boolean =>
    !found.some(({ features }) => hasFeatures(point, features));
  while (mayGoOn()) {
    const start = randomPoint(space, random, isNew);
    if (start === undefined) break;
    const { point, verdict } = await walk(options, start, isNew);
    if (verdict.excess < factor) continue;
    const confirmed = await least(options, point, verdict);
    if (confirmed.excess < factor) continue;
    const features = await minimalFeatures(space, point, (other) => judge(options, other));
    const anomaly = { ...confirmed, point, features };
    found.push(anomaly);
    options.onAnomaly?.(anomaly);
  }
  return found;
}

/** One walk, until it meets an anomaly or has cooled down. */
async function walk(
  { space, measure, factor, random, mayGoOn }: SearchOptions,
  start: Point,
  isNew: (point: Point) => boolean,
): Promise<{ point: Point; verdict: Verdict }> {
  let point = start;
  let verdict = await measure(point);
  for (let heat = hottest; heat > coldest && mayGoOn(); heat *= cooling) {
    if (verdict.excess >= factor) break;
    const next = mutate(space, point, random, isNew);
    if (next === undefined) break;
    const other = await measure(next);
    const gain = Math.log(other.excess / verdict.excess);
    if (gain < 0 && random() >= Math.exp(gain / heat)) continue;
    point = next;
    verdict = other;
  }
  return { point, verdict };
}

async function judge(options: SearchOptions, point: Point): Promise<Judgement> {
  const { factor, measure } = options;
  const first = await measure(point);
  const { excess } = first.excess < factor ? first : await least(options, point, first);
  return { excess, isAnomalous: excess >= factor };
}

/**
 * Of three verdicts, the first of which is known: what does not come every time is the machine's
 * noise.
 */
async function least({ measure }: SearchOptions, point: Point, first: Verdict): Promise<Verdict> {
  const verdicts = [first, await measure(point), await measure(point)];
  return verdicts.toSorted((a, b) => a.excess - b.excess)[0] ?? first;
}
