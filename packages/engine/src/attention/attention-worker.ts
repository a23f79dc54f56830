import {
  attentionRank,
  expertRank,
  buildModelGraph,
  openCheckpoint,
  partition,
  residentExpertsByLayer,
  systemClock,
  type AttentionPort,
  type Backend,
  type Partition,
  type Region,
  type SchedulerPolicy,
  type WeightSource,
} from '@megascale/core';
import { Batcher, fcfs, uniformPlacement } from '@megascale/scheduler';
import { AttentionLoop, type LoopParts } from './attention-loop.js';
import { ColocatedPort } from './colocated-port.js';
import { ExpertLoadCounter } from '../placement/expert-load-counter.js';
import { guardedPolicy } from '../plugins/guarded-policy.js';
import { isKnownPolicy, loadBackend, loadPolicy, loadTransport } from '../plugins/plugins.js';
import { PolicyFailures } from '../plugins/policy-failures.js';
import { StepTuner } from './step-tuner.js';
import { PipelineTimer } from './pipeline-timer.js';
import { FlightRecorder } from '../recorder/flight-recorder.js';
import { emptyStepClock, type StepClock } from './step-driver.js';
import { backendOptions, transportOptions, type WorkerContext } from '../worker/worker-context.js';
import { WorkerProfiler, type ProfiledStage } from '../recorder/worker-profiler.js';

/**
 * The attention half on one rank: plans its own steps, drives them, samples. In colocated mode the experts run
 * here too, behind a port that calls them instead of sending.
 */
export async function runAttentionWorker(context: WorkerContext): Promise<void> {
  const { start, inbox } = context;
  const { config } = start;
  const checkpoint = openCheckpoint(start.modelDirectory);
  const model = partition(buildModelGraph(checkpoint.config));
  const backend = await (await loadBackend(config.backend)).create(backendOptions(context));
  const stage = await backend.createAttentionStage({
    program: model.attention,
    weights: checkpoint.weights,
    kvPageCount: config.kvPages,
    kvPageSize: config.kvPageSize,
    kvCacheDtype: config.kvCacheDtype,
    microBatchCount: config.microBatches,
    tokensPerMicroBatchMax: config.tokensPerMicroBatchMax,
    positionsMax: config.maxModelLen,
  });
  const time = emptyStepClock();
  const recorder = new FlightRecorder(config.recorderEvents);
  const profiled: ProfiledStage[] = [{ stage: 'attention', profiler: stage.profiler }];
  const port = config.colocated
    ? await openColocatedPort(context, {
        backend,
        model,
        weights: checkpoint.weights,
        time,
        recorder,
        profiled,
      })
    : await openPort(context, backend, model);
  stage.bindSlots(port.slots);
  const timer = new PipelineTimer(stage, port, systemClock);
  const policyFailures = new PolicyFailures(inbox);
  const batcher = await openBatcher(config, policyFailures);
  const loop = new AttentionLoop(context, {
    stage: timer.stage,
    port: timer.port,
    pace: new StepTuner({ batcher, timer, choose: config.chooseMicroBatches }),
    time,
    recorder,
    profiler: new WorkerProfiler(profiled, inbox),
    policyFailures,
    clock: systemClock,
    layerCount: model.attention.stages.length,
    expertCount: model.attention.sizes.expertCount,
    topK: model.attention.sizes.topK,
    slotExpertIds: port.slots.map(({ expertIds }) => int32View(expertIds)),
    vocabSize: model.attention.sizes.vocabSize,
    ...expertLoadsOf(context, model.attention),
    batcher,
  });
  inbox.send({ type: 'worker-ready', backend: backend.name, isa: backend.isa });
  try {
    await loop.run();
  } finally {
    port.close();
    stage.close();
    backend.close();
  }
}

/** Counts where somebody listens. */
function expertLoadsOf(
  { start: { config }, inbox }: WorkerContext,
  { sizes, stages }: Partition['attention'],
): Pick<LoopParts, 'expertLoads'> {
  if (config.expertLoadWindowMs === 0) return {};
  return {
    expertLoads: new ExpertLoadCounter({
      layerCount: stages.length,
      expertCount: sizes.expertCount,
      windowUs: config.expertLoadWindowMs * 1000,
      send: (message) => {
        inbox.send(message);
      },
    }),
  };
}

async function openBatcher(config: Config, policyFailures: PolicyFailures): Promise<Batcher> {
  return new Batcher({
    policy: await openPolicy(config),
    fallbackPolicy: fcfs,
    onPolicyError: policyFailures.note,
    prefixSharing: config.prefixSharing,
    kvPageCount: config.kvPages,
    kvPageSize: config.kvPageSize,
    microBatchCount: config.microBatches,
    tokensPerMicroBatchMax: config.tokensPerMicroBatchMax,
    maxNumBatchedTokens: config.maxNumBatchedTokens,
    prefillChunkTokensMax: config.prefillChunkTokens,
    maxNumSeqs: config.maxNumSeqs,
    maxQueuedRequests: config.maxQueuedRequests,
    positionsMax: config.maxModelLen,
  });
}

async function openPolicy({ policy, policyTimeMs }: Config): Promise<SchedulerPolicy> {
  const loaded = await loadPolicy(policy);
  return isKnownPolicy(policy) ? loaded : guardedPolicy(loaded, policyTimeMs);
}

async function openPort(
  context: WorkerContext,
  backend: Backend,
  { attention }: Partition,
): Promise<AttentionPort> {
  const transport = await loadTransport(context.start.config.transport);
  const model = { sizes: attention.sizes, routedLayerCount: attention.stages.length };
  return transport.openAttention(
    attentionRank(context.start.rank),
    transportOptions(context, model, backend),
  );
}

async function openColocatedPort(
  { start: { config } }: WorkerContext,
  parts: {
    backend: Backend;
    model: Partition;
    weights: WeightSource;
    time: StepClock;
    recorder: FlightRecorder;
    profiled: ProfiledStage[];
  },
): Promise<AttentionPort> {
  const { backend, weights, time, recorder } = parts;
  const program = parts.model.expert;
  const { expertCount, topK } = program.sizes;
  const expertStage = await backend.createExpertStage({
    program,
    weights,
    experts: residentExpertsByLayer(
      [uniformPlacement(expertCount, 1)],
      expertRank(0),
      program.stages.length,
    ),
    rowsMax: config.tokensPerMicroBatchMax * topK,
  });
  parts.profiled.push({ stage: 'expert', profiler: expertStage.profiler });
  return new ColocatedPort({
    backend,
    expertStage,
    sizes: program.sizes,
    tokensPerSlotMax: config.tokensPerMicroBatchMax,
    slotCount: config.microBatches,
    clock: systemClock,
    time,
    recorder,
  });
}

type Config = WorkerContext['start']['config'];

function int32View({ bytes }: Region): Int32Array {
  return bytes === undefined
    ? new Int32Array(0)
    : new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
