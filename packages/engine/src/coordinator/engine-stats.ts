import type { EngineConfig } from '../config/engine-config.js';
import type { WorkerStats } from '../protocol/messages.js';
import type { EngineStats } from '../spec/language-model.js';

export interface EngineStatsParts {
  readonly config: EngineConfig;
  readonly state: EngineStats['state'];
  /** Why the state is 'failed'. */
  readonly reason: string | undefined;
  /** Sequences in the engine, running or waiting. */
  readonly sequences: number;
  readonly promptTokensTotal: number;
  readonly outputTokensTotal: number;
  /** The newest numbers of each attention worker that has reported any. */
  readonly reports: readonly WorkerStats[];
  readonly experts: EngineStats['experts'] | undefined;
  readonly workers: EngineStats['workers'];
}

/** Sums the numbers of the attention workers. One that has reported none has all its pages free. */
export function engineStats(parts: EngineStatsParts): EngineStats {
  const { config, reports, reason, experts } = parts;
  const sum = (pick: (stats: WorkerStats) => number): number =>
    reports.reduce((total, stats) => total + pick(stats), 0);
  const unreported = (config.attentionWorkers - reports.length) * config.kvPages;
  const running = sum((stats) => stats.sequencesRunning);
  return {
    state: parts.state,
    ...(reason === undefined ? {} : { reason }),
    requestsWaiting: Math.max(0, parts.sequences - running),
    requestsRunning: running,
    kvPagesTotal: config.kvPages * config.attentionWorkers,
    kvPagesFree: sum((stats) => stats.kvPagesFree) + unreported,
    kvPagesCached: sum((stats) => stats.kvPagesCached),
    cachedPromptTokensTotal: sum((stats) => stats.cachedPromptTokens),
    computedTokensTotal: sum((stats) => stats.computedTokens),
    policyErrorsTotal: sum((stats) => stats.policyErrors),
    promptTokensTotal: parts.promptTokensTotal,
    outputTokensTotal: parts.outputTokensTotal,
    preemptionsTotal: sum((stats) => stats.preemptions),
    microBatches: Math.max(0, ...reports.map((stats) => stats.microBatches)),
    stepsTotal: sum((stats) => stats.steps),
    ...(experts === undefined ? {} : { experts }),
    workers: parts.workers,
    stepTime: stepTime(sum),
  };
}

function stepTime(sum: (pick: (stats: WorkerStats) => number) => number): EngineStats['stepTime'] {
  const totalUs = sum((stats) => stats.totalUs);
  const computeUs = sum((stats) => stats.computeUs);
  const waitUs = sum((stats) => stats.waitUs);
  const dispatchUs = sum((stats) => stats.dispatchUs);
  const samplingUs = sum((stats) => stats.samplingUs);
  return {
    totalUs,
    computeUs,
    waitUs,
    dispatchUs,
    samplingUs,
    drivingUs: totalUs - computeUs - waitUs - dispatchUs - samplingUs,
    halfLayers: sum((stats) => stats.halfLayers),
  };
}
