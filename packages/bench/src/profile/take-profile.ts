import { availableParallelism } from 'node:os';
import { buildModelGraph, openCheckpoint, type Clock } from '@megascale/core';
import type { LlmOptions } from '@megascale/engine';
import { deployOnCores, medianOf, type MachineProfile } from '@megascale/planner';
import { Bounds } from '../measure/bounds.js';
import { describeMachine } from './describe-machine.js';
import { fitProfile } from './fit-profile.js';
import { measureProfileRuns } from './measure-profile.js';
import { MeasuredDeployment, type MeasureContext } from './measured-deployment.js';
import { measureTransport } from '../measure/measure-transport.js';
import { PaceProbe, type ProbeReading } from './pace-probe.js';
import type { ProbedRun } from './predict/probed-runs.js';

export interface TakeProfileOptions {
  readonly directory: string;
  /** Backend and instruction set. */
  readonly options: LlmOptions;
  /** Of each worker; absent: the cores, divided by a pool's workers. */
  readonly threads?: number | undefined;
  readonly batchMax: number;
  readonly rounds: number;
  /** Names; each is measured between two processes. */
  readonly transports: readonly string[];
  readonly takenAt: string;
  readonly version: string;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((text: string) => void) | undefined;
}

/** A profile, and what measured its pace, which goes on to be of use. */
export interface TakenProfile {
  readonly profile: MachineProfile;
  readonly probe: PaceProbe;
  /** The probe's reading that is pace 1. */
  readonly reference: ProbeReading;
  readonly runs: readonly ProbedRun[];
  readonly context: MeasureContext;
  readonly cores: number;
  /** Of each worker, as the options had it. */
  readonly threads: number | undefined;
}

/** Bytes that the read bandwidth is measured over. */
const boundBytes = 2 ** 30;
const maxModelLen = 256;

/** Takes a profile, and gives it to `use` while the probe is still loaded. */
export async function withProfile<T>(
  options: TakeProfileOptions,
  use: (taken: TakenProfile) => Promise<T>,
): Promise<T> {
  const cores = availableParallelism();
  const graph = buildModelGraph(openCheckpoint(options.directory).config);
  const context: MeasureContext = {
    directory: options.directory,
    sizes: graph.sizes,
    layerCount: graph.layers.length,
    options: options.options,
    batchMax: options.batchMax,
    maxModelLen: Math.min(maxModelLen, graph.sizes.positionsMax),
    clock: options.clock,
    signal: options.signal,
  };
  const { threads } = options;
  const deployment = deployOnCores({ colocated: true, threads }, cores);
  const resident = await MeasuredDeployment.load(deployment, context);
  try {
    const batches = [1, 8].filter((batch) => batch <= options.batchMax);
    const probe = new PaceProbe(resident, { batches, layerCount: context.layerCount });
    const runs = await measureProfileRuns({
      context,
      cores,
      resident,
      probe,
      threads,
      rounds: options.rounds,
      onProgress: options.onProgress,
    });
    const reference = middleReading(runs);
    const measured = fitProfile(runs, reference, graph.sizes);
    const { name, backend, isa } = resident.llm.info;
    const profile: MachineProfile = {
      version: 1,
      takenAt: options.takenAt,
      machine: describeMachine(options.version),
      backend,
      isa,
      model: { name, ...modelOf(graph.sizes), layerCount: context.layerCount },
      bounds: await measureBounds({ backend, isa, threads: deployment.attentionThreads }),
      pools: [...measured.pools],
      handovers: [...measured.handovers],
      effectiveExperts: measured.effectiveExperts,
      transports: await measureTransports(options),
    };
    return await use({ profile, probe, reference, runs, context, cores, threads });
  } finally {
    await resident.close();
  }
}

/** [batches] the median of all readings. */
function middleReading(runs: readonly ProbedRun[]): ProbeReading {
  const readings = runs.map(({ around }) => around[1]);
  return (readings[0] ?? []).map((_, batch) =>
    medianOf(readings.map((reading) => reading[batch] ?? 0)),
  );
}

function modelOf({
  hiddenSize,
  expertCount,
  topK,
  expertWidth,
  vocabSize,
}: MeasureContext['sizes']) {
  return { hiddenSize, expertCount, topK, expertWidth, vocabSize };
}

async function measureBounds(worker: {
  readonly backend: string;
  readonly isa: string;
  readonly threads: number;
}): Promise<MachineProfile['bounds']> {
  const bounds = await Bounds.open({ ...worker, byteLength: boundBytes });
  try {
    const readBytesPerSecond = bounds.readBandwidth();
    const peak = bounds.machine.multiplyPeak();
    return {
      readBytesPerSecond,
      multiplyFlopsPerSecond: peak.gemmFlopsPerSecond,
      instructionFlopsPerSecond: peak.instructionFlopsPerSecond,
      forkJoinUs: bounds.machine.forkJoin().spinningUs,
    };
  } finally {
    bounds.close();
  }
}

async function measureTransports(
  options: TakeProfileOptions,
): Promise<MachineProfile['transports']> {
  const { clock, signal, onProgress } = options;
  const measured: MachineProfile['transports'] = [];
  for (const name of options.transports) {
    onProgress?.(`measuring: transport ${name}`);
    const { points, ...transport } = await measureTransport(name, {
      clock,
      ...(signal === undefined ? {} : { signal }),
    });
    measured.push({ ...transport, points: [...points] });
  }
  return measured;
}
