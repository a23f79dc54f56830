import { availableParallelism, cpus } from 'node:os';
import type { BenchReport, M2nBenchRequest } from '../suite.js';
import { BenchError } from '../bench-error.js';
import { buildContenders, programOf } from './contenders/build-contenders.js';
import { contenders, type Contender, type Variant } from './contenders/contenders.js';
import { m2nChart } from './m2n-chart.js';
import type { M2nFigures } from './m2n-figures.js';
import { figuresOfRounds, type M2nPoint, type PointFigures, type Rounds } from './m2n-point.js';
import { m2nText } from './m2n-report.js';
import { measurePoint } from './measure.js';
import { runContender } from './contenders/run-contender.js';
import { planOf, type Traffic } from './traffic.js';

/** Without `bytes`: what the chart is drawn over. */
export const sweepBytes = [2 << 10, 8 << 10, 64 << 10, 256 << 10, 1 << 20, 8 << 20] as const;

/**
 * A transport of ours beside what else carries bytes between processes, all in turns: each round
 * measures every size with every contender once. In the first round every contender tries each of
 * its ways; then it goes on with the quickest and the one of the highest rate.
 *
 * @throws BenchError for traffic that cannot be sent, a baseline there is not, or when ours fails.
 */
export async function benchM2n(request: M2nBenchRequest): Promise<BenchReport> {
  const sizes = request.bytes.length === 0 ? sweepBytes : request.bytes;
  const traffics = sizes.map((bytes) => trafficOf(request, bytes));
  for (const traffic of traffics) planOf(traffic, availableParallelism());
  const chosen = chosenContenders(request);
  const programs = chosen.length > 0 ? await buildContenders() : { absent: 'nothing' };
  const points = traffics.map((traffic) => new PointRounds(traffic));
  for (let round = 0; round < request.rounds; round++) {
    for (const point of points) {
      const { bytes } = point.traffic;
      request.onProgress?.(
        `round ${String(round + 1)} of ${String(request.rounds)}, ${String(bytes)} bytes`,
      );
      await point.measureOurs(request);
      for (const contender of chosen) {
        await point.measure(contender, programOf(programs, contender), request.signal);
      }
    }
  }
  return reportOf(
    request,
    points.map((point) => point.result()),
  );
}

function trafficOf(request: M2nBenchRequest, bytes: number): Traffic {
  const { transport, senders, receivers, skew, bothDirections, emulatedLink } = request;
  return {
    transport,
    senders,
    receivers,
    bytes,
    skew,
    bothDirections,
    effort: request.effort,
    ...(emulatedLink === undefined ? {} : { emulatedLink }),
  };
}

/**
 * Contenders carry balanced traffic over the machine's own links: beside anything else they would
 * say nothing.
 */
function chosenContenders({
  baselines,
  skew,
  emulatedLink,
}: M2nBenchRequest): readonly Contender[] {
  const unknown = baselines?.find(
    (name) => !contenders.some((contender) => contender.name === name),
  );
  if (unknown !== undefined) {
    const names = contenders.map(({ name }) => name).join(', ');
    throw new BenchError(`There is no baseline ${unknown}. There are: ${names}.`, { unknown });
  }
  if (skew || emulatedLink !== undefined) {
    if (baselines !== undefined && baselines.length > 0) {
      throw new BenchError(
        'Baselines carry balanced traffic without an emulated link: give --baselines none.',
      );
    }
    return [];
  }
  return contenders.filter(({ name }) => baselines?.includes(name) ?? true);
}

/** What the rounds gave for one size. */
class PointRounds {
  readonly #ours: M2nFigures[] = [];
  readonly #others = new Map<string, Rounds>();

  constructor(readonly traffic: Traffic) {}

  async measureOurs({ clock, signal }: M2nBenchRequest): Promise<void> {
    this.#ours.push(await measurePoint(this.traffic, { clock, ...(signal && { signal }) }));
  }

  async measure(
    contender: Contender,
    program: { readonly path: string } | { readonly absent: string },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { name } = contender;
    const rounds = this.#others.get(name) ?? { runs: new Map<string, M2nFigures[]>() };
    this.#others.set(name, rounds);
    if ('absent' in program) {
      rounds.absent = program.absent;
      return;
    }
    for (const variant of contender.variants) {
      if (rounds.kept !== undefined && !rounds.kept.has(variant.name)) continue;
      signal?.throwIfAborted();
      try {
        const figures = await this.#run(contender, variant, program.path, signal);
        const runs = rounds.runs.get(variant.name) ?? [];
        rounds.runs.set(variant.name, [...runs, figures]);
      } catch (error) {
        if (!(error instanceof BenchError)) throw error;
        rounds.failed = error.message;
      }
    }
    rounds.kept ??= bestVariants(rounds);
  }

  result(): M2nPoint {
    const { senders, receivers, bytes } = this.traffic;
    const others = [...this.#others].map(([name, rounds]) => [name, outcomeOf(rounds)] as const);
    return {
      senders,
      receivers,
      bytes,
      ours: figuresOfRounds(this.#ours),
      baselines: Object.fromEntries(others),
    };
  }

  #run(contender: Contender, variant: Variant, path: string, signal: AbortSignal | undefined) {
    const plan = planOf(this.traffic, availableParallelism());
    return runContender({ contender, variant, path, plan, ...(signal && { signal }) });
  }
}

function bestVariants({ runs }: Rounds): ReadonlySet<string> {
  const all = [...runs].flatMap(([name, [figures]]) =>
    figures === undefined ? [] : [{ name, figures }],
  );
  const quickest = all.toSorted((a, b) => a.figures.latencyUs.p50 - b.figures.latencyUs.p50)[0];
  const rate = ({ figures }: (typeof all)[number]): number => figures.gigabytesPerSecond;
  const fastest = all.toSorted((a, b) => rate(b) - rate(a))[0];
  return new Set([quickest, fastest].flatMap((best) => (best === undefined ? [] : [best.name])));
}

/** Latencies are of the quickest way, rates of the one with the highest. */
function outcomeOf({ runs, absent, failed }: Rounds): M2nPoint['baselines'][string] {
  if (absent !== undefined) return { absent };
  const all = [...runs].map(([variant, figures]) => ({ variant, ...figuresOfRounds(figures) }));
  const quickest = all.toSorted((a, b) => a.latencyUs.p50 - b.latencyUs.p50)[0];
  if (quickest === undefined) return { failed: failed ?? 'it gave no figures' };
  const fastest = all.toSorted((a, b) => b.gigabytesPerSecond - a.gigabytesPerSecond)[0];
  const { gigabytesPerSecond, bothDirectionsGigabytesPerSecond } = fastest ?? quickest;
  const rates: Partial<PointFigures> = {
    gigabytesPerSecond,
    ...(bothDirectionsGigabytesPerSecond === undefined ? {} : { bothDirectionsGigabytesPerSecond }),
  };
  return { ...quickest, ...rates };
}

function reportOf(request: M2nBenchRequest, points: readonly M2nPoint[]): BenchReport {
  const { transport, rounds, skew, emulatedLink } = request;
  const machine = { cores: availableParallelism(), processor: cpus()[0]?.model.trim() ?? '' };
  const common = {
    transport,
    rounds,
    skew,
    ...(emulatedLink === undefined ? {} : { emulatedLink }),
    machine,
  };
  const [first] = points;
  const single = points.length === 1 && first !== undefined ? flat(first) : {};
  return {
    document: { ...common, ...single, points: points.map(flat) },
    text: m2nText({ transport, rounds, points }),
    ...(points.length > 1 ? { chart: m2nChart({ transport, points }) } : {}),
  };
}

/** Our figures beside the numbers that say what was sent. */
function flat({ ours, ...point }: M2nPoint): object {
  return { ...point, ...ours, ratios: ratiosOf(ours, point.baselines) };
}

function ratiosOf(ours: PointFigures, baselines: M2nPoint['baselines']): Record<string, object> {
  const ratios: Record<string, object> = {};
  for (const [name, other] of Object.entries(baselines)) {
    if (!('latencyUs' in other)) continue;
    const both = other.bothDirectionsGigabytesPerSecond;
    ratios[name] = {
      latencyP50: ours.latencyUs.p50 / other.latencyUs.p50,
      latencyP99: ours.latencyUs.p99 / other.latencyUs.p99,
      dispatchP50: ours.dispatchUs.p50 / other.dispatchUs.p50,
      gigabytesPerSecond: ours.gigabytesPerSecond / other.gigabytesPerSecond,
      ...(both === undefined || ours.bothDirectionsGigabytesPerSecond === undefined
        ? {}
        : { bothDirections: ours.bothDirectionsGigabytesPerSecond / both }),
    };
  }
  return ratios;
}
