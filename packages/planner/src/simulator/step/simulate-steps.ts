import { ConfigError, microBatchIndex } from '@megascale/core';
import type { SimulatedInstance } from '../simulated-instance.js';
import { PipelineSimulation } from './pipeline-simulation.js';
import type { SimulatedStep, StepSource } from './pipeline-parts.js';
import { Timeline, type SimulatedEvent } from './timeline.js';

/** What one attention worker has in each micro-batch of every step. */
export interface StepLoad {
  readonly tokens: number;
  /** Σ over its tokens of the keys that each sees. */
  readonly keysSeen: number;
  /** Distinct keys of its sequences; default: as many as are seen, as in decode. */
  readonly keysRead?: number;
  /** Rows to sample from; default: as many as tokens. */
  readonly outputRows?: number;
}

export interface StepRun {
  readonly instance: SimulatedInstance;
  /** [M] of each attention worker. A worker without tokens is parked. */
  readonly loads: readonly StepLoad[];
  /** Steps that follow each other. */
  readonly steps: number;
  /** Events to keep for a picture; 0: none. */
  readonly timelineEvents?: number;
}

export interface StepRunResult {
  /** [M][steps] from the end of the step before. */
  readonly stepUs: readonly (readonly number[])[];
  /** Until the last worker's last step has ended. */
  readonly totalUs: number;
  /** Of the whole run, the mean over the workers of the time in which they computed. */
  readonly attentionBusy: number;
  readonly events: number;
  readonly timeline: readonly SimulatedEvent[];
  readonly timelineLost: number;
}

const stepsMax = 100_000;

/**
 * Steps of fixed size on one instance, event by event: what `stepTimeUs` says of two workers and a
 * link, for any number of workers, unequal loads and all gather policies.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD'.
 */
export function simulateSteps(run: StepRun): StepRunResult {
  const { instance, loads, steps, timelineEvents = 0 } = run;
  checkRun(run);
  const timeline = timelineEvents > 0 ? new Timeline(timelineEvents) : undefined;
  const sources = loads.map((load) => new FixedSteps(divide(load, instance.microBatches), steps));
  const simulation = new PipelineSimulation(instance, sources, {
    ...(timeline === undefined ? {} : { timeline, expertsApart: true }),
  });
  for (const [rank, { tokens }] of loads.entries()) if (tokens > 0) simulation.wake(rank, 0);
  simulation.advance(Infinity);
  const totalUs = Math.max(0, ...sources.map(({ endedUs }) => endedUs));
  const busyUs = sources.reduce((sum, source) => sum + source.attentionUs(instance) * steps, 0);
  return {
    stepUs: sources.map((source) => source.stepUs),
    totalUs,
    attentionBusy: totalUs > 0 ? busyUs / (totalUs * loads.length) : 0,
    events: simulation.events,
    timeline: timeline?.read() ?? [],
    timelineLost: timeline?.lost ?? 0,
  };
}

class FixedSteps implements StepSource {
  readonly stepUs: number[] = [];
  endedUs = 0;
  #left: number;

  readonly #step: SimulatedStep;

  constructor(step: SimulatedStep, steps: number) {
    this.#step = step;

    this.#left = step.microBatchIndices.length === 0 ? 0 : steps;
  }

  next(): SimulatedStep | undefined {
    if (this.#left === 0) return undefined;
    this.#left -= 1;
    // Steps that overlap are told apart.
    return { ...this.#step };
  }

  end(_step: SimulatedStep, nowUs: number): void {
    this.stepUs.push(nowUs - this.endedUs);
    this.endedUs = nowUs;
  }

  /** Of one step, without waits. */
  attentionUs({ costs, layers }: SimulatedInstance): number {
    const { tokens, keysSeen, keysRead } = this.#step;
    const us = tokens.map((each, index) =>
      costs.attentionTimeUs({
        tokens: each,
        keysSeen: keysSeen[index] ?? 0,
        keysRead: keysRead[index] ?? 0,
      }),
    );
    return layers * us.reduce((sum, each) => sum + each, 0);
  }
}

/**
 * Equal micro-batches, of fractions of tokens where they do not come out even: what they hold is an
 * average. No more of them than tokens, as in the batcher.
 */
function divide(
  { tokens, keysSeen, keysRead, outputRows }: StepLoad,
  count: number,
): SimulatedStep {
  const parts = tokens > 0 ? Math.max(1, Math.min(count, Math.floor(tokens))) : 0;
  const each = (whole: number): number[] => Array.from({ length: parts }, () => whole / parts);
  return {
    microBatchIndices: Array.from({ length: parts }, (_, index) => microBatchIndex(index)),
    tokens: each(tokens),
    keysSeen: each(keysSeen),
    keysRead: each(keysRead ?? keysSeen),
    outputRows: each(outputRows ?? tokens),
  };
}

function checkRun({ instance, loads, steps }: StepRun): void {
  if (loads.length !== instance.attentionWorkers) {
    refuse('loads', `${loads.length} loads for ${instance.attentionWorkers} attention workers`);
  }
  if (!Number.isInteger(steps) || steps < 1 || steps > stepsMax) {
    refuse('steps', `${steps}, which is not a whole number from 1 to ${stepsMax}`);
  }
  for (const { tokens, keysSeen } of loads) {
    if (!(tokens >= 0 && keysSeen >= 0 && Number.isFinite(tokens + keysSeen))) {
      refuse('loads', `${tokens} tokens that see ${keysSeen} keys`);
    }
  }
}

function refuse(field: string, finding: string): never {
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Simulated steps, ${field}: ${finding}. Give one load per attention worker and a number of steps.`,
    details: { path: field },
  });
}
