import {
  MegascaleError,
  Sampler,
  type AttentionPort,
  type AttentionStage,
  type MicroBatchIndex,
} from '@megascale/core';
import {
  createStepOrders,
  walkSteps,
  type Batcher,
  type Step,
  type StepFollower,
  type StepOrders,
} from '@megascale/scheduler';
import type { ExpertLoadCounter } from '../placement/expert-load-counter.js';
import { PlacementAdoption } from '../placement/placement-adoption.js';
import type { PolicyFailures } from '../plugins/policy-failures.js';
import type { CoordinatorMessage } from '../protocol/messages.js';
import { eventKind } from '../recorder/flight-recorder.js';
import { WorkerAccounts } from '../recorder/request-account.js';
import type { StepClock } from '../recorder/step-clock.js';
import type { WorkerProfiler } from '../recorder/worker-profiler.js';
import type { WorkerContext } from '../worker/worker-context.js';
import { RoutedRows } from './routed-rows.js';
import { SequenceIntake } from './sequence-intake.js';
import { StepDriver } from './step-driver.js';
import type { StepTuner } from './step-tuner.js';
import { TokenChooser } from './token-chooser.js';
import { TokenPublisher } from './token-publisher.js';

export interface LoopParts {
  readonly stage: AttentionStage;
  readonly port: AttentionPort;
  readonly batcher: Batcher;
  readonly tuner: StepTuner;
  readonly clock: StepClock;
  readonly profiler: WorkerProfiler;
  readonly policyFailures: PolicyFailures;
  readonly layerCount: number;
  readonly expertCount: number;
  readonly topK: number;
  readonly vocabSize: number;
  /**
   * [micro-batches][tokens × topK] expert ids of each slot; empty where the host cannot read them.
   */
  readonly slotExpertIds: readonly Int32Array[];
  /** Present where expert loads are recorded or balanced. */
  readonly expertLoads?: ExpertLoadCounter;
}

/**
 * The loop of one attention worker: receives what the coordinator sends, plans a step, drives it
 * through the layers, publishes its tokens. `walkSteps` states the order of actions and calls
 * `begin`, `startMicroBatch`, `endMicroBatch`, `end` and `next` between them.
 */
export class AttentionLoop implements Omit<StepFollower<Step>, 'perform'> {
  readonly orderOf: StepOrders;
  readonly overlap: boolean;
  readonly #context: WorkerContext;
  readonly #parts: LoopParts;
  readonly #accounts: WorkerAccounts;
  readonly #intake: SequenceIntake;
  readonly #adoption: PlacementAdoption;
  readonly #routes: RoutedRows;
  readonly #driver: StepDriver;
  readonly #publisher: TokenPublisher;

  constructor(context: WorkerContext, parts: LoopParts) {
    this.orderOf = createStepOrders(parts.layerCount);
    this.overlap = context.start.config.overlapSteps;
    this.#context = context;
    this.#parts = parts;
    const { inbox } = context;
    const accounts = new WorkerAccounts(parts.expertCount);
    const chooser = new TokenChooser(new Sampler(parts.vocabSize), parts.vocabSize);
    this.#accounts = accounts;
    this.#intake = new SequenceIntake(context, { ...parts, chooser, accounts });
    this.#adoption = new PlacementAdoption(parts.port, inbox);
    this.#routes = new RoutedRows({ ...parts, accounts });
    this.#driver = new StepDriver({ ...parts, chooser, routes: this.#routes });
    const { times } = parts.clock;
    this.#publisher = new TokenPublisher({ ...parts, chooser, accounts, times, inbox });
  }

  /** Resolves when the worker is told to stop. Rejects with TransportError when a peer is lost. */
  async run(): Promise<void> {
    const { port, clock } = this.#parts;
    while (!this.#stopping()) {
      clock.resume();
      const step = this.next();
      if (step !== undefined) {
        if (!this.#drive(step)) return;
        port.park();
      }
      this.#adoption.idle();
      this.#publisher.publishStats();
      this.#routes.idle(clock.nowUs());
      await this.#context.inbox.arrival();
    }
  }

  /**
   * Drives `first` and every step that follows it, until there is nothing to do. Returns false when
   * the worker was told to stop in the middle of a step.
   */
  #drive(first: Step): boolean {
    try {
      for (const { step, action } of walkSteps(first, this)) this.#driver.perform(step, action);
      return true;
    } catch (error) {
      if (MegascaleError.isInstance(error) && this.#stopping()) return false;
      throw error;
    }
  }

  /** Receives what has arrived, and plans the step that comes next. */
  next(): Step | undefined {
    if (this.#stopping()) return undefined;
    for (const message of this.#context.inbox.drain()) this.#receive(message);
    const { batcher, clock } = this.#parts;
    const startUs = clock.nowUs();
    const step = batcher.planStep(startUs / 1000);
    if (step === undefined) return undefined;
    this.#adoption.planned(step);
    clock.note(eventKind.plan, startUs, -1, -1, tokenCount(step));
    return step;
  }

  begin(step: Step): void {
    this.#driver.beginStep(step);
  }

  startMicroBatch(step: Step, microBatch: MicroBatchIndex): void {
    const batch = step.microBatches[microBatch];
    if (batch === undefined) throw new Error(`The step has no micro-batch ${String(microBatch)}.`);
    this.#parts.batcher.startMicroBatch(microBatch);
    this.#parts.tuner.startMicroBatch(batch);
    this.#driver.embed(batch);
  }

  endMicroBatch(): void {
    this.#publisher.endMicroBatch();
  }

  end(step: Step): void {
    const { clock, batcher, tuner, profiler } = this.#parts;
    const tokens = tokenCount(step);
    const span = clock.endStep(tokens);
    const ids = step.plan.run.map(({ id }) => id);
    this.#accounts.addStep(ids, span);
    batcher.noteStepTime(step, span.endUs - span.startUs);
    tuner.endStep(step);
    this.#adoption.ended(step);
    this.#routes.endStep(span.endUs);
    const outputTokens = this.#publisher.publishStep();
    profiler.noteStep(span, { outputTokens, tokens });
  }

  #receive(message: CoordinatorMessage): void {
    this.#intake.receive(message);
    if (message.type === 'experts-timed') this.#parts.tuner.receive(message);
    this.#adoption.receive(message);
    this.#parts.profiler.receive(message);
  }

  #stopping(): boolean {
    return this.#context.control.stopReason() !== undefined;
  }
}

function tokenCount({ microBatches }: Step): number {
  return microBatches.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
}
