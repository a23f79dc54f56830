import type { EngineConfig } from './engine-config.js';
import type { ParsedOptions } from './options.js';

/**
 * How the workers share this machine's cores. On one machine both pools draw on the same cores and
 * the same memory, so overlapping them gains nothing: they take turns, a layer's experts serve all
 * its micro-batches at once, and each pool has all cores.
 */
export function shareCores(options: ParsedOptions, cores: number): CoreShares {
  return options.hosts.length > 1
    ? shareCoresOfHosts(options, cores)
    : shareCoresOfOne(options, cores);
}

type CoreShares = Pick<
  EngineConfig,
  'attentionThreads' | 'expertThreads' | 'spinUs' | 'bindThreads' | 'gather'
>;

/**
 * Every host is taken to have as many cores as this one, and divides them by its workers: the pools
 * work at the same time.
 */
function shareCoresOfHosts(options: ParsedOptions, cores: number): CoreShares {
  const threadsOf = (role: 'attention' | 'expert'): number => {
    const workers = options.hosts
      .filter((host) => host[role].length > 0)
      .map(({ attention, expert }) => attention.length + expert.length);
    return options.threads ?? Math.max(1, Math.floor(cores / Math.max(1, ...workers)));
  };
  return {
    attentionThreads: threadsOf('attention'),
    expertThreads: threadsOf('expert'),
    spinUs: options.spinUs ?? 50,
    bindThreads: options.bindThreads ?? false,
    gather: options.gather ?? { type: 'lockstep' },
  };
}

function shareCoresOfOne(
  { attentionWorkers, expertWorkers, ...options }: ParsedOptions,
  cores: number,
): CoreShares {
  const expertProcesses = options.colocated ? 0 : expertWorkers;
  const takeTurns = (options.gather?.type ?? 'layer') === 'layer';
  const threadsOf = (workers: number): number =>
    options.threads ?? Math.max(1, Math.floor(cores / workers));
  const all = attentionWorkers + expertProcesses;
  const attentionThreads = threadsOf(takeTurns ? attentionWorkers : all);
  const expertThreads = threadsOf(takeTurns ? expertWorkers : all);
  const attentionPool = attentionWorkers * attentionThreads;
  const expertPool = expertProcesses * expertThreads;
  const outnumber = attentionPool + expertPool > cores;
  const gather = options.gather ?? { type: outnumber ? 'layer' : 'lockstep' };
  // Threads of a pool that leaves cores idle are better placed by the system.
  const fill = Math.min(attentionPool, expertPool) >= cores;
  const bindThreads = options.bindThreads ?? (takeTurns && fill);
  const spinUs = options.spinUs ?? (bindThreads ? 100 : outnumber ? 0 : 50);
  return { attentionThreads, expertThreads, spinUs, bindThreads, gather };
}
