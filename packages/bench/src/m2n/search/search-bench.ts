import { availableParallelism } from 'node:os';
import type { BenchReport, M2nSearchRequest } from '../../suite.js';
import { BenchError } from '../../bench-error.js';
import { randomWords } from '../../model/random-prompts.js';
import { measurePoint } from '../measure.js';
import type { Traffic } from '../traffic.js';
import { searchAnomalies, type Verdict } from './search-anomalies.js';
import { searchText, type Failure, type SearchResult } from './search-report.js';
import type { Point } from './space.js';
import {
  fitModel,
  loadOf,
  timesOf,
  worstOf,
  type Times,
  type TrafficModel,
} from './traffic-model.js';
import { spinsAlways, trafficAt, trafficSpace } from './traffic-space.js';

/** Of a measurement's usual message counts. */
const effort = 0.25;
/** What the model is fitted on, three times each. */
const calmBytes = [256, 2 ** 14, 2 ** 18, 2 ** 20] as const;
const calmRuns = 3;
const failuresMax = 20;

/**
 * Looks for traffic that is slower than the alpha-beta model of its transport predicts, for as long
 * as it is told.
 *
 * @throws BenchError when not even the calm points can be measured.
 */
export async function benchM2nSearch(request: M2nSearchRequest): Promise<BenchReport> {
  const { transports, minutes, factor, seed, clock, signal, onProgress } = request;
  const measure = async (traffic: Traffic): Promise<Times> => {
    signal?.throwIfAborted();
    const options = { clock, ...(signal === undefined ? {} : { signal }) };
    return timesOf(traffic, await measurePoint({ ...traffic, effort }, options));
  };
  const models = new Map<string, TrafficModel>();
  for (const transport of transports) {
    onProgress?.(`measuring ${transport} with one sender and one receiver`);
    models.set(transport, await calmModel(transport, measure));
  }
  const cores = availableParallelism();
  const failures: Failure[] = [];
  let points = 0;
  const verdictAt = async (point: Point): Promise<Verdict> => {
    points++;
    const traffic = trafficAt(point);
    const model = models.get(traffic.transport);
    try {
      const times = await measure(traffic);
      return model === undefined ? nothing : worstOf(model, loadOf(traffic, cores), times);
    } catch (error) {
      if (!(error instanceof BenchError)) throw error;
      if (failures.length < failuresMax) failures.push({ point, reason: error.message });
      return nothing;
    }
  };
  const endUs = clock.nowUs() + minutes * 60e6;
  const next = randomWords(seed);
  const anomalies = await searchAnomalies({
    space: trafficSpace(transports),
    measure: verdictAt,
    factor,
    random: () => next() / 2 ** 32,
    mayGoOn: () => clock.nowUs() < endUs && signal?.aborted !== true,
    onAnomaly: ({ excess, figure }) =>
      onProgress?.(`found: ${figure} ${excess.toFixed(1)} × the prediction`),
  });
  const result: SearchResult = {
    minutes,
    factor,
    seed,
    cores,
    points,
    models,
    anomalies,
    failures,
  };
  return {
    document: { benchmark: 'm2n-search', ...result, models: Object.fromEntries(models) },
    text: searchText(result),
  };
}

/** As good as predicted: a search goes elsewhere. */
const nothing: Verdict = { excess: Number.MIN_VALUE, figure: 'median' };

async function calmModel(
  transport: string,
  measure: (traffic: Traffic) => Promise<Times>,
): Promise<TrafficModel> {
  const calm: { bytes: number; times: Times }[] = [];
  for (const bytes of calmBytes) {
    for (let run = 0; run < calmRuns; run++) {
      const traffic = { transport, senders: 1, receivers: 1, bytes, slots: 4, spinUs: spinsAlways };
      calm.push({ bytes, times: await measure(traffic) });
    }
  }
  return fitModel(calm);
}
