import {
  MegascaleError,
  Sampler,
  sequenceId,
  serializeError,
  type AttentionPort,
  type AttentionStage,
  type Clock,
  type LayerIndex,
  type MicroBatchIndex,
} from '@megascale/core';
import {
  createStepOrders,
  type Batcher,
  type SequenceRequest,
  type Step,
} from '@megascale/scheduler';
import type { Admission, CoordinatorMessage, GeneratedToken } from '../protocol/messages.js';
import type { ExpertLoadCounter } from '../placement/expert-load-counter.js';
import type { StepTuner } from './step-tuner.js';
import { PlacementAdoption } from '../placement/placement-adoption.js';
import type { PolicyFailures } from '../plugins/policy-failures.js';
import { answerRecording } from '../recorder/answer-recording.js';
import { eventKind, type FlightRecorder } from '../recorder/flight-recorder.js';
import { WorkerAccounts } from '../recorder/request-account.js';
import {
  difference,
  emptyStepClock,
  StepDriver,
  type StepClock,
  type StepOwner,
} from './step-driver.js';
import { TokenChooser } from './token-chooser.js';
import type { WorkerContext } from '../worker/worker-context.js';
import type { WorkerProfiler } from '../recorder/worker-profiler.js';

type Config = WorkerContext['start']['config'];

export interface LoopParts {
  readonly stage: AttentionStage;
  readonly port: AttentionPort;
  readonly batcher: Batcher;
  readonly pace: StepTuner;
  readonly clock: Clock;
  readonly time: StepClock;
  readonly recorder: FlightRecorder;
  readonly profiler: WorkerProfiler;
  readonly policyFailures: PolicyFailures;
  readonly layerCount: number;
  readonly expertCount: number;
  readonly topK: number;
  /** [micro-batches][tokens × topK] empty where the host cannot read them. */
  readonly slotExpertIds: readonly Int32Array[];
  readonly vocabSize: number;
  /** Where expert loads are recorded or balanced. */
  readonly expertLoads?: ExpertLoadCounter;
}

/** The step loop of one attention worker: takes what is admitted, plans, drives, samples, and tells the coordinator. */
export class AttentionLoop implements StepOwner {
  readonly #context: WorkerContext;
  readonly #parts: LoopParts;
  readonly #chooser: TokenChooser;
  readonly #driver: StepDriver;
  /** Of the oldest step in flight. */
  #tokens: GeneratedToken[] = [];
  /** Until when time has been counted. */
  #countedUs = 0;
  /** Sums after the step before. */
  readonly #spentBefore = emptyStepClock();
  readonly #accounts: WorkerAccounts;
  readonly #adoption: PlacementAdoption;
  #sampledLayer = 0;

  constructor(context: WorkerContext, parts: LoopParts) {
    this.#context = context;
    this.#parts = parts;
    this.#accounts = new WorkerAccounts(parts.expertCount);
    this.#adoption = new PlacementAdoption(parts.port, context.inbox);
    this.#chooser = new TokenChooser(new Sampler(parts.vocabSize), parts.vocabSize);
    this.#driver = new StepDriver({
      ...parts,
      orderOf: createStepOrders(parts.layerCount),
      overlap: context.start.config.overlapSteps,
      owner: this,
    });
  }

  /** Until told to stop, or until a peer is lost (TransportError). */
  async run(): Promise<void> {
    const { inbox } = this.#context;
    const { port, clock } = this.#parts;
    while (!this.#stopping()) {
      this.#countedUs = clock.nowUs();
      const step = this.nextStep();
      if (step !== undefined) {
        if (!this.#runSteps(step)) return;
        port.park();
      }
      this.#adoption.idle();
      this.#report([]);
      this.#parts.expertLoads?.report(clock.nowUs(), true);
      await inbox.arrival();
    }
  }

  /** Until there is nothing to do. False when this worker was told to stop in mid-step. */
  #runSteps(first: Step): boolean {
    try {
      this.#driver.run(first);
      return true;
    } catch (error) {
      if (MegascaleError.isInstance(error) && this.#stopping()) return false;
      throw error;
    }
  }

  nextStep(): Step | undefined {
    if (this.#stopping()) return undefined;
    for (const message of this.#context.inbox.drain()) this.#receive(message);
    const { batcher, clock, recorder } = this.#parts;
    const startUs = clock.nowUs();
    const step = batcher.planStep(startUs / 1000);
    const tokens = step === undefined ? 0 : tokenCount(step);
    if (step !== undefined) this.#adoption.planned(step);
    if (tokens > 0) recorder.note(eventKind.plan, startUs, clock.nowUs(), -1, -1, tokens);
    return step;
  }

  startMicroBatch(microBatch: MicroBatchIndex): void {
    this.#parts.batcher.startMicroBatch(microBatch);
  }

  /** One layer of each step, in turn, says which experts a request's rows go to. */
  onRoutes(step: Step, layer: LayerIndex, microBatch: MicroBatchIndex): void {
    const { topK, slotExpertIds, expertLoads } = this.#parts;
    const expertIds = slotExpertIds[microBatch];
    const batch = step.microBatches[microBatch];
    if (expertIds === undefined || batch === undefined) return;
    expertLoads?.count(layer, expertIds, batch.tokenIds.length * topK, this.#countedUs);
    if (layer !== this.#sampledLayer) return;
    const { offsets } = batch;
    for (const [place, id] of (step.sequences[microBatch] ?? []).entries()) {
      const [from, to] = [offsets[place] ?? 0, offsets[place + 1] ?? 0];
      this.#accounts.addRows(id, expertIds, from * topK, to * topK);
    }
  }

  onLogits(step: Step, microBatch: MicroBatchIndex, logits: Float32Array): void {
    const [batch, rows] = [step.microBatches[microBatch], step.logits[microBatch]];
    if (batch !== undefined && rows !== undefined) this.#chooser.choose(batch, rows, logits);
  }

  endMicroBatch(): void {
    const { emitted, finished } = this.#parts.batcher.completeMicroBatch(this.#chooser.chosen);
    for (const token of emitted) {
      const { logprob, top } = this.#chooser.detailsOf(token.row);
      this.#tokens.push({
        sequence: token.id,
        id: token.tokenId,
        ...(logprob === undefined ? {} : { logprob }),
        ...(top === undefined ? {} : { top }),
        ...(token.cachedPromptTokens === undefined ? {} : { cached: token.cachedPromptTokens }),
        ...(token.finishReason === undefined ? {} : { finished: token.finishReason }),
      });
    }
    for (const { history } of finished) this.#chooser.forget(history.request.id);
    this.#chooser.chooseNone();
  }

  endStep(step: Step): void {
    const { time, profiler, clock, recorder } = this.#parts;
    const [tokens, startUs, endUs] = [this.#tokens, this.#countedUs, clock.nowUs()];
    this.#tokens = [];
    this.#countedUs = endUs;
    time.totalUs += endUs - startUs;
    this.#account(step, { startUs, endUs }, tokens);
    this.#parts.batcher.noteStepTime(step, endUs - startUs);
    this.#parts.pace.endStep(step);
    this.#adoption.ended(step);
    this.#parts.expertLoads?.report(endUs);
    const stepTokens = tokenCount(step);
    recorder.note(eventKind.step, startUs, endUs, -1, -1, stepTokens);
    profiler.noteStep({ startUs, endUs, outputTokens: tokens.length, tokens: stepTokens }, time);
    if (tokens.length > 0) this.#report(tokens);
  }

  #account(step: Step, lasted: { startUs: number; endUs: number }, tokens: GeneratedToken[]): void {
    const { time, layerCount } = this.#parts;
    const ids = step.plan.run.map(({ id }) => id);
    this.#accounts.addStep(ids, lasted, difference(time, this.#spentBefore));
    Object.assign(this.#spentBefore, time);
    this.#sampledLayer = (this.#sampledLayer + 1) % Math.max(1, layerCount);
    for (const token of tokens) {
      const account =
        token.finished === undefined ? undefined : this.#accounts.close(sequenceId(token.sequence));
      if (account !== undefined) token.account = account;
    }
  }

  #stopping(): boolean {
    return this.#context.control.stopReason() !== undefined;
  }

  #receive(message: CoordinatorMessage): void {
    if (message.type === 'sequences-admitted') message.sequences.forEach(this.#admit, this);
    if (message.type === 'sequence-cancelled') {
      this.#parts.batcher.cancel(sequenceId(message.id));
      this.#chooser.forget(sequenceId(message.id));
      this.#accounts.close(sequenceId(message.id));
    }
    if (message.type === 'experts-timed') this.#parts.pace.receive(message);
    this.#adoption.receive(message);
    this.#parts.profiler.receive(message);
    answerRecording(message, this.#parts.recorder, this.#context.inbox);
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
        ...serviceOf(message, this.#context.start.config),
      });
      this.#accounts.open(id, message.submittedUs);
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
    const { attentionCost } = this.#parts.pace;
    this.#context.inbox.send({
      type: 'tokens-generated',
      tokens,
      stats: {
        sequencesWaiting: counts.waiting,
        sequencesRunning: counts.running,
        kvPagesFree: counts.kvPagesFree,
        preemptions: counts.preemptionsTotal,
        kvPagesCached: counts.kvPagesCached,
        cachedPromptTokens: counts.cachedPromptTokensTotal,
        computedTokens: counts.computedTokensTotal,
        policyErrors: this.#parts.policyFailures.count,
        microBatches: this.#parts.pace.microBatchCount,
        steps: counts.stepsTotal,
        ...this.#parts.time,
        ...(attentionCost === undefined ? {} : { attentionCost }),
      },
    });
  }
}

/** What the request wants, or what the deployment wants for all. */
function serviceOf(
  { priority, tenant, ttftTargetMs, tpotTargetMs }: Admission,
  config: Config,
): Pick<SequenceRequest, 'priority' | 'tenant' | 'ttftTargetMs' | 'tpotTargetMs'> {
  const ttft = ttftTargetMs ?? config.ttftTargetMs;
  const tpot = tpotTargetMs ?? config.tpotTargetMs;
  return {
    ...(priority === undefined ? {} : { priority }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(ttft === undefined ? {} : { ttftTargetMs: ttft }),
    ...(tpot === undefined ? {} : { tpotTargetMs: tpot }),
  };
}

function tokenCount({ microBatches }: Step): number {
  return microBatches.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
}
