import {
  buildModelGraph,
  openCheckpoint,
  partition,
  systemClock,
  type Partition,
  type Region,
  type SchedulerPolicy,
} from '@megascale/core';
import { Batcher, fcfs } from '@megascale/scheduler';
import { ExpertLoadCounter } from '../placement/expert-load-counter.js';
import { guardedPolicy } from '../plugins/guarded-policy.js';
import { isKnownPolicy, loadBackend, loadPolicy } from '../plugins/plugins.js';
import { PolicyFailures } from '../plugins/policy-failures.js';
import { FlightRecorder } from '../recorder/flight-recorder.js';
import { StepClock } from '../recorder/step-clock.js';
import { WorkerProfiler } from '../recorder/worker-profiler.js';
import { backendOptions, type WorkerContext } from '../worker/worker-context.js';
import { AttentionLoop, type LoopParts } from './attention-loop.js';
import { openPort } from './open-port.js';
import { PipelineTimer } from './pipeline-timer.js';
import { StepTuner } from './step-tuner.js';

type Config = WorkerContext['start']['config'];

/**
 * Runs the attention stage on one rank: plans its own steps, drives them, samples. In colocated
 * mode the experts run here too, behind a port that calls them instead of sending.
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
  const recorder = new FlightRecorder(config.recorderEvents);
  const timer = new PipelineTimer(config.microBatches);
  const clock = new StepClock(systemClock, [recorder, timer]);
  const { weights } = checkpoint;
  const { port, stages } = await openPort(context, { backend, model, weights, clock });
  stage.bindSlots(port.slots);
  const profiled = [{ stage: 'attention', profiler: stage.profiler } as const, ...stages];
  const policyFailures = new PolicyFailures(inbox);
  const batcher = await openBatcher(config, policyFailures);
  const loop = new AttentionLoop(context, {
    stage,
    port,
    batcher,
    tuner: new StepTuner({ batcher, timer, choose: config.chooseMicroBatches }),
    clock,
    profiler: new WorkerProfiler(profiled, recorder, inbox),
    policyFailures,
    layerCount: model.attention.stages.length,
    expertCount: model.attention.sizes.expertCount,
    topK: model.attention.sizes.topK,
    vocabSize: model.attention.sizes.vocabSize,
    slotExpertIds: port.slots.map(({ expertIds }) => int32View(expertIds)),
    ...expertLoadsOf(context, model.attention),
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

/** Returns a counter where expert loads are recorded or balanced. */
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

function int32View({ bytes }: Region): Int32Array {
  return bytes === undefined
    ? new Int32Array(0)
    : new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
