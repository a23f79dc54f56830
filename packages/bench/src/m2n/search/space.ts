/** What one dimension of a space may be set to. */
export type Level = string | number | boolean;

export interface Dimension {
  readonly name: string;
  /** At least one; ascending where `isOrdered`. */
  readonly levels: readonly Level[];
  /** Levels between two others behave like something between them. */
  readonly isOrdered: boolean;
}

/** One level of each dimension, by name. */
export type Point = Readonly<Record<string, Level>>;

export interface Space {
  readonly dimensions: readonly Dimension[];
  /** Points outside cannot be measured at all. */
  readonly allows: (point: Point) => boolean;
}

/** 0 ≤ value < 1 */
export type Random = () => number;

const triesMax = 200;

/**
 * A point that `accepts` takes, each as likely as the other; undefined when there seems to be none.
 */
export function randomPoint(
  { dimensions, allows }: Space,
  random: Random,
  accepts: (point: Point) => boolean,
): Point | undefined {
  for (let attempt = 0; attempt < triesMax; attempt++) {
    const point = Object.fromEntries(
      dimensions.map(({ name, levels }) => [name, pick(levels, random)]),
    );
    if (allows(point) && accepts(point)) return point;
  }
  return undefined;
}

/**
 * The point with another level of one dimension; undefined when `accepts` takes none that was
 * tried.
 */
export function mutate(
  { dimensions, allows }: Space,
  point: Point,
  random: Random,
  accepts: (point: Point) => boolean,
): Point | undefined {
  for (let attempt = 0; attempt < triesMax; attempt++) {
    const { name, levels } = pick(dimensions, random);
    const next = { ...point, [name]: pick(levels, random) };
    if (next[name] !== point[name] && allows(next) && accepts(next)) return next;
  }
  return undefined;
}

function pick<Item>(items: readonly Item[], random: Random): Item {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new RangeError('A dimension has no level.');
  return item;
}
