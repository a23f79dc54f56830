import { ConfigError } from '@megascale/core';
import { fcfs } from '@megascale/scheduler';
import { checkInstance } from '../simulated-instance.js';
import { PipelineSimulation } from '../step/pipeline-simulation.js';
import { Timeline, type SimulatedEvent } from '../step/timeline.js';
import { AttentionPool } from './attention-pool.js';
import type { BatcherStep } from './batcher-steps.js';
import { checkFaults } from './faults.js';
import { ServingMetrics, type ServingReport } from './serving-metrics.js';
import type { ServingRun } from './serving-run.js';

export interface ServingResult {
  readonly report: ServingReport;
  readonly timeline: readonly SimulatedEvent[];
  readonly timelineLost: number;
}

/**
 * One instance that serves requests: the shipping batcher and policy on every attention worker, and
 * steps that take what the pipeline makes them take, on one simulated clock.
 *
 * A lost attention worker's sequences go on elsewhere, computed again from their prompts and the
 * tokens so far, and no new sequence goes to it until it is back; a lost expert worker stops every step
 * until it is back, and computes again what it was at (architecture, section 8, without replicas).
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD'; PolicyError where the policy breaks a rule.
 */
export function simulateServing(run: ServingRun): ServingResult {
  const { instance, durationS, warmUpS = 0, drainS = 600, timelineEvents = 0 } = run;
  checkInstance(instance);
  checkFaults(run.faults ?? {}, instance);
  checkTimes(run);
  const timeline = timelineEvents > 0 ? new Timeline(timelineEvents) : undefined;
  const window = { from: warmUpS * 1e6, to: durationS * 1e6 };
  const metrics = new ServingMetrics(window, run.targets ?? {});
  const pool = new AttentionPool({ ...run, policy: run.policy ?? fcfs }, metrics);
  const simulation = new PipelineSimulation<BatcherStep>(instance, pool.sources, {
    ...(timeline === undefined ? {} : { timeline, expertsApart: true }),
  });
  pool.drive(simulation);

  const agenda = agendaOf(run, pool, simulation, metrics);
  for (const request of run.requests) {
    if (request.arrivalUs > window.to) break;
    agenda.upTo(request.arrivalUs);
    simulation.advance(request.arrivalUs);
    pool.arrive(request, request.arrivalUs);
  }
  agenda.upTo(window.to);
  simulation.advance(window.to);
  drain({ pool, simulation, agenda, untilUs: window.to + drainS * 1e6 });
  return {
    report: reportOf(run, { metrics, pool, simulation }),
    timeline: timeline?.read() ?? [],
    timelineLost: timeline?.lost ?? 0,
  };
}

type Simulation = PipelineSimulation<BatcherStep>;

interface Agenda {
  /** Everything that is due up to and at this time. */
  upTo(us: number): void;
  /** When the next of it is due. */
  nextUs(): number;
}

/** Faults and samples, at their times. */
function agendaOf(
  { faults = {}, durationS, samples = 240 }: ServingRun,
  pool: AttentionPool,
  simulation: Simulation,
  metrics: ServingMetrics,
): Agenda {
  const due: { readonly atUs: number; readonly run: () => void }[] = [];
  const at = (seconds: number, run: () => void): void => {
    due.push({ atUs: seconds * 1e6, run });
  };
  for (const { role, rank, atS, recoveryS } of faults.failures ?? []) {
    if (role === 'expert') {
      at(atS, () => {
        simulation.loseExpertWorker(rank, (atS + recoveryS) * 1e6);
      });
      continue;
    }
    at(atS, () => {
      pool.lose(rank, atS * 1e6);
    });
    at(atS + recoveryS, () => {
      pool.recover(rank, (atS + recoveryS) * 1e6);
    });
  }
  for (const { role, rank, fromS, forS, factor } of faults.stragglers ?? []) {
    at(fromS, () => {
      simulation.slowDown(role, rank, factor);
    });
    at(fromS + forS, () => {
      simulation.slowDown(role, rank, 1);
    });
  }
  for (let index = 1; index <= samples; index += 1) {
    const atS = (index * durationS) / samples;
    at(atS, () => {
      metrics.sample(atS, pool.state());
    });
  }
  due.sort((a, b) => a.atUs - b.atUs);
  let next = 0;
  return {
    nextUs: () => due[next]?.atUs ?? Infinity,
    upTo(us) {
      for (let each = due[next]; each !== undefined && each.atUs <= us; each = due[next]) {
        simulation.advance(each.atUs);
        each.run();
        next += 1;
      }
    },
  };
}

/** Simulates until no request is under way, or for so long. */
function drain(parts: {
  readonly pool: AttentionPool;
  readonly simulation: Simulation;
  readonly agenda: Agenda;
  readonly untilUs: number;
}): void {
  const { pool, simulation, agenda, untilUs } = parts;
  while (pool.openRequests > 0) {
    const nextUs = Math.min(simulation.nextUs, agenda.nextUs());
    if (nextUs > untilUs) break;
    agenda.upTo(nextUs);
    simulation.advance(nextUs);
  }
}

function reportOf(
  { durationS, warmUpS = 0, targets }: ServingRun,
  parts: {
    readonly metrics: ServingMetrics;
    readonly pool: AttentionPool;
    readonly simulation: Simulation;
  },
): ServingReport {
  const { metrics, pool, simulation } = parts;
  const { counts } = metrics;
  const seconds = durationS - warmUpS;
  return {
    requests: {
      arrived: counts.arrived,
      finished: counts.finished,
      refused: counts.refused,
      unfinished: pool.openRequests,
    },
    ttftMs: metrics.ttftMs.summary(),
    tpotMs: metrics.tpotMs.summary(),
    tokenGapMs: metrics.tokenGapMs.summary(),
    outputTokensPerSecond: metrics.outputTokens / seconds,
    promptTokensPerSecond: metrics.promptTokens / seconds,
    ...(targets === undefined ? {} : { goodRequestsPerSecond: counts.good / seconds }),
    queue: metrics.spread('waiting'),
    running: metrics.spread('running'),
    kvUse: metrics.spread('kvUse'),
    preemptions: pool.preemptions,
    resumed: counts.resumed,
    recomputedTokens: counts.recomputed,
    steps: metrics.steps,
    events: simulation.events,
    simulatedS: simulation.nowUs / 1e6,
    samples: metrics.samples,
  };
}

function checkTimes({ durationS, warmUpS = 0, drainS = 600, samples = 240 }: ServingRun): void {
  const fits = durationS > 0 && durationS < Infinity && warmUpS >= 0 && warmUpS < durationS;
  if (fits && drainS >= 0 && Number.isInteger(samples) && samples >= 1 && samples <= 10_000) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Simulated serving of ${durationS} s, ${warmUpS} s of them to warm up, ${drainS} s after it, ${samples} samples. Give a time longer than the warm-up, and 1 to 10000 samples.`,
    details: { path: 'durationS', durationS, warmUpS, drainS, samples },
  });
}
