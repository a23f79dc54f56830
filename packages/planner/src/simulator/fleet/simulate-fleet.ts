import type { QuantileSummary } from '../quantile-sketch.js';
import { RandomStream } from '../random-stream.js';
import { checkFleetRun } from './check-fleet-run.js';
import { DayArrivals, rateAt } from './day-load.js';
import { FleetFaultTimes } from './fleet-fault-times.js';
import { FleetInstance } from './fleet-instance.js';
import { FleetMetrics } from './fleet-metrics.js';
import { fleetRouter } from './fleet-router.js';
import { LengthTable } from './length-table.js';
import { measureStepTable } from './step-table.js';
import type { FleetRun } from './fleet-run.js';

/** The fleet at one moment; rates since the sample before. */
export interface FleetSample {
  readonly atS: number;
  readonly wantedRequestsPerSecond: number;
  readonly outputTokensPerSecond: number;
  readonly running: number;
  readonly waiting: number;
  /** Part of all instances' time in which they had something to do. */
  readonly busy: number;
}

/** What a fleet did. Times in milliseconds; quantiles are within 0.4 %. */
export interface FleetReport {
  readonly instances: number;
  readonly durationS: number;
  readonly requests: {
    readonly arrived: number;
    readonly finished: number;
    readonly refused: number;
    readonly unfinished: number;
  };
  readonly ttftMs: QuantileSummary;
  readonly tpotMs: QuantileSummary;
  readonly outputTokensPerSecond: number;
  readonly busy: number;
  readonly failures: number;
  /** Part of all instances' time in which they were down. */
  readonly down: number;
  readonly recomputedTokens: number;
  readonly events: number;
  readonly samples: readonly FleetSample[];
}

/**
 * A fleet of equal instances over a day. An instance goes from event to event (`FleetInstance`), by
 * steps that were measured on the op-by-op simulator; it is brought up to date when the router
 * looks at it, so there is no queue of events. Memory is bounded by what the instances may hold.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD'.
 */
export function simulateFleet(run: FleetRun): FleetReport {
  checkFleetRun(run);
  const { durationS = 86_400, samples: sampleCount = 144, lengths, seed } = run;
  const prompts = new LengthTable(lengths.prompt);
  const outputs = new LengthTable(lengths.output);
  const chunk = run.limits.prefillChunkTokens ?? 256;
  const chunks = prompts.meanOf((length) => Math.ceil(length / chunk));
  const table = measureStepTable(run.instance, run.limits, {
    promptTokens: prompts.mean,
    outputTokens: outputs.mean,
    chunkTokens: prompts.mean / chunks,
  });
  const metrics = new FleetMetrics();
  const maxQueuedRequests = run.limits.maxQueuedRequests ?? 1000;
  const instances = Array.from(
    { length: run.instances },
    () => new FleetInstance(table, maxQueuedRequests, metrics),
  );
  const choose = fleetRouter(run.router, instances, new RandomStream(seed, 2));
  const arrivals = new DayArrivals(run.load, new RandomStream(seed, 0));
  const sizes = new RandomStream(seed, 1);
  const faults = new FleetFaultTimes(run.faults, instances, new RandomStream(seed, 3));
  const samples = new Samples(run, instances, metrics);

  let arrived = 0;
  let sampleS = durationS / sampleCount;
  for (;;) {
    const atS = arrivals.next(durationS);
    while (sampleS <= atS && samples.taken.length < sampleCount) {
      faults.upTo(sampleS);
      samples.take(sampleS);
      sampleS = ((samples.taken.length + 1) * durationS) / sampleCount;
    }
    if (atS === Infinity) break;
    faults.upTo(atS);
    arrived += 1;
    choose(atS).arrive(atS, prompts.draw(sizes), outputs.draw(sizes));
  }
  return reportOf({ run, arrived, metrics, samples, instances, durationS });
}

class Samples {
  readonly taken: FleetSample[] = [];
  #tokens = 0;
  #busyS = 0;

  readonly #run: FleetRun;
  readonly #instances: readonly FleetInstance[];
  readonly #metrics: FleetMetrics;

  constructor(run: FleetRun, instances: readonly FleetInstance[], metrics: FleetMetrics) {
    this.#run = run;
    this.#instances = instances;
    this.#metrics = metrics;
  }

  take(atS: number): void {
    const metrics = this.#metrics;
    const instances = this.#instances;
    let running = 0;
    let waiting = 0;
    for (const instance of instances) {
      instance.advance(atS);
      running += instance.running;
      waiting += instance.waiting;
    }
    const sinceS = atS - (this.taken.at(-1)?.atS ?? 0);
    this.taken.push({
      atS,
      wantedRequestsPerSecond: rateAt(this.#run.load, atS),
      outputTokensPerSecond: (metrics.outputTokens - this.#tokens) / sinceS,
      running,
      waiting,
      busy: (metrics.busyS - this.#busyS) / (sinceS * instances.length),
    });
    this.#tokens = metrics.outputTokens;
    this.#busyS = metrics.busyS;
  }
}

function reportOf(parts: {
  readonly run: FleetRun;
  readonly arrived: number;
  readonly metrics: FleetMetrics;
  readonly samples: Samples;
  readonly instances: readonly FleetInstance[];
  readonly durationS: number;
}): FleetReport {
  const { run, arrived, metrics, samples, instances, durationS } = parts;
  const { finished, refused } = metrics;
  const allS = instances.length * durationS;
  return {
    instances: run.instances,
    durationS,
    requests: { arrived, finished, refused, unfinished: arrived - finished - refused },
    ttftMs: metrics.ttftMs.summary(),
    tpotMs: metrics.tpotMs.summary(),
    outputTokensPerSecond: metrics.outputTokens / durationS,
    busy: metrics.busyS / allS,
    failures: metrics.failures,
    down: metrics.downS / allS,
    recomputedTokens: metrics.recomputedTokens,
    events: metrics.events,
    samples: samples.taken,
  };
}
