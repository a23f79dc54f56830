import {
  attentionRank,
  expertRank,
  buildModelGraph,
  MegascaleError,
  openCheckpoint,
  partition,
  residentExperts,
  Sampler,
  sequenceId,
  serializeError,
  systemClock,
  type AttentionPort,
  type AttentionStage,
  type Backend,
  type Clock,
  type Partition,
  type WeightSource,
} from '@megascale/core';
import { Batcher, createPingPongPlan, type Step } from '@megascale/scheduler';
import { ColocatedPort } from './colocated-port.js';
import type { Admission, CoordinatorMessage, GeneratedToken } from './messages.js';
import { loadBackend, loadPolicy, loadTransport } from './plugins.js';
import { evenPlacement } from './placement.js';
import { emptyStepClock, StepDriver, type StepClock } from './step-driver.js';
import { TokenChooser } from './token-chooser.js';
import { backendOptions, transportOptions, type WorkerContext } from './worker-context.js';
import { WorkerProfiler, type ProfiledStage } from './worker-profiler.js';

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
    kvDType: config.kvDType,
    microBatchCount: config.microBatches,
    tokensPerMicroBatchMax: config.tokensPerMicroBatchMax,
    positionsMax: config.contextTokensMax,
  });
  const time = emptyStepClock();
  const profiled: ProfiledStage[] = [{ stage: 'attention', profiler: stage.profiler }];
  const port = config.colocated
    ? await openColocatedPort(context, {
        backend,
        model,
        weights: checkpoint.weights,
        time,
        profiled,
      })
    : await openPort(context, backend, model);
  stage.bindSlots(port.slots);
  const loop = new AttentionLoop(context, {
    stage,
    port,
    time,
    profiler: new WorkerProfiler(profiled, inbox),
    clock: systemClock,
    layerCount: model.attention.stages.length,
    vocabSize: model.attention.sizes.vocabSize,
    batcher: new Batcher({
      policy: await loadPolicy(config.policy),
      kvPageCount: config.kvPages,
      kvPageSize: config.kvPageSize,
      microBatchCount: config.microBatches,
      tokensPerMicroBatchMax: config.tokensPerMicroBatchMax,
      tokensPerStepMax: config.tokensPerStepMax,
      prefillChunkTokensMax: config.prefillChunkTokens,
      runningMax: config.runningMax,
      waitingMax: config.waitingMax,
      positionsMax: config.contextTokensMax,
    }),
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
    profiled: ProfiledStage[];
  },
): Promise<AttentionPort> {
  const { backend, weights, time } = parts;
  const program = parts.model.expert;
  const { expertCount, topK } = program.sizes;
  const expertStage = await backend.createExpertStage({
    program,
    weights,
    experts: residentExperts(evenPlacement(expertCount, 1), expertRank(0)),
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
  });
}

interface LoopParts {
  readonly stage: AttentionStage;
  readonly port: AttentionPort;
  readonly batcher: Batcher;
  readonly clock: Clock;
  readonly time: StepClock;
  readonly profiler: WorkerProfiler;
  readonly layerCount: number;
  readonly vocabSize: number;
}

class AttentionLoop {
  readonly #context: WorkerContext;
  readonly #parts: LoopParts;
  readonly #chooser: TokenChooser;
  readonly #driver: StepDriver;

  constructor(context: WorkerContext, parts: LoopParts) {
    this.#context = context;
    this.#parts = parts;
    this.#chooser = new TokenChooser(new Sampler(parts.vocabSize), parts.vocabSize);
    this.#driver = new StepDriver({
      ...parts,
      planFor: createPingPongPlan(parts.layerCount),
      onLogits: (step, microBatch, logits) => {
        this.#chooser.choose(step.logits[microBatch] ?? [], microBatch, logits);
      },
    });
  }

  /** Until told to stop, or until a peer is lost (TransportError). */
  async run(): Promise<void> {
    const { inbox, control } = this.#context;
    const { batcher, clock, port } = this.#parts;
    let parked = true;
    while (control.stopReason() === undefined) {
      for (const message of inbox.drain()) this.#receive(message);
      const before = clock.nowUs();
      const step = batcher.planStep(before / 1000);
      if (step !== undefined) {
        parked = false;
        if (!this.#runStep(step, before)) return;
        continue;
      }
      if (!parked) {
        port.park();
        parked = true;
      }
      this.#report([]);
      await inbox.arrival();
    }
  }

  /** False when this worker was told to stop in mid-step. */
  #runStep(step: Step, startedUs: number): boolean {
    const { batcher, clock } = this.#parts;
    try {
      this.#chooser.begin(step.microBatches.length);
      this.#driver.run(step);
    } catch (error) {
      batcher.abandonStep();
      if (MegascaleError.isInstance(error) && this.#stopping()) return false;
      throw error;
    }
    const { emitted, finished } = batcher.completeStep(this.#chooser.chosen);
    const tokens = emitted.map((token): GeneratedToken => {
      const { logprob, top } = this.#chooser.detailsOf(token.microBatch, token.row);
      return {
        sequence: token.id,
        id: token.tokenId,
        ...(logprob === undefined ? {} : { logprob }),
        ...(top === undefined ? {} : { top }),
        ...(token.finishReason === undefined ? {} : { finished: token.finishReason }),
      };
    });
    for (const { history } of finished) this.#chooser.forget(history.request.id);
    const endUs = clock.nowUs();
    const { time, profiler } = this.#parts;
    time.totalUs += endUs - startedUs;
    const stepTokens = step.microBatches.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
    profiler.noteStep(
      { startUs: startedUs, endUs, outputTokens: tokens.length, tokens: stepTokens },
      time,
    );
    if (tokens.length > 0) this.#report(tokens);
    return true;
  }

  #stopping(): boolean {
    return this.#context.control.stopReason() !== undefined;
  }

  #receive(message: CoordinatorMessage): void {
    if (message.type === 'sequences-admitted') message.sequences.forEach(this.#admit, this);
    if (message.type === 'sequence-cancelled') {
      this.#parts.batcher.cancel(sequenceId(message.id));
      this.#chooser.forget(sequenceId(message.id));
    }
    this.#parts.profiler.receive(message);
  }

  #admit(message: Admission): void {
    const id = sequenceId(message.id);
    try {
      this.#parts.batcher.add({
        id,
        promptTokens: message.promptTokenIds,
        maxTokens: message.maxTokens,
        eosTokenIds: message.endTokenIds,
        ignoreEos: message.endTokenIds.length === 0,
        arrivedAtMs: this.#parts.clock.nowUs() / 1000,
        sampling: message.sampling,
      });
      this.#chooser.register(id, {
        sampling: message.sampling,
        ...(message.logprobs === undefined ? {} : { logprobs: message.logprobs }),
      });
    } catch (error) {
      this.#context.inbox.send({
        type: 'sequence-failed',
        id: message.id,
        error: serializeError(error),
      });
    }
  }

  #report(tokens: GeneratedToken[]): void {
    const { counts } = this.#parts.batcher;
    this.#context.inbox.send({
      type: 'tokens-generated',
      tokens,
      stats: {
        sequencesWaiting: counts.waiting,
        sequencesRunning: counts.running,
        kvPagesFree: counts.kvPagesFree,
        preemptions: counts.preemptionsTotal,
        steps: counts.stepsTotal,
        ...this.#parts.time,
      },
    });
  }
}
