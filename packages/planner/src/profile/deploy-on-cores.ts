import type { MachineDeployment } from './predict-decode.js';

/** A deployment as one asks for it. */
export interface WantedDeployment {
  readonly colocated?: boolean;
  readonly attentionWorkers?: number;
  readonly expertWorkers?: number;
  readonly microBatches?: number;
  /** Of each worker; absent: the machine's cores, divided by the workers of a pool. */
  readonly threads?: number | undefined;
  readonly emulatedLink?: MachineDeployment['emulatedLink'];
}

/**
 * The same with what the engine makes of it on one machine: pools whose threads outnumber the cores
 * take turns.
 */
export function deployOnCores(wanted: WantedDeployment, cores: number): MachineDeployment {
  const { colocated = false, attentionWorkers = 1, expertWorkers = 1, threads } = wanted;
  const threadsOf = (workers: number): number =>
    threads ?? Math.max(1, Math.floor(cores / workers));
  const attentionThreads = threadsOf(attentionWorkers);
  const expertThreads = colocated ? attentionThreads : threadsOf(expertWorkers);
  const all = attentionWorkers * attentionThreads + (colocated ? 0 : expertWorkers * expertThreads);
  return {
    colocated,
    attentionWorkers,
    expertWorkers: colocated ? 1 : expertWorkers,
    microBatches: wanted.microBatches ?? (colocated ? 1 : 2),
    attentionThreads,
    expertThreads,
    gather: all > cores ? 'layer' : 'lockstep',
    overlapSteps: !colocated,
    ...(wanted.emulatedLink === undefined || colocated
      ? {}
      : { emulatedLink: wanted.emulatedLink }),
  };
}
