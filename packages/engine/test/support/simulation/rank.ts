import {
  attentionRank,
  expertRank,
  residentExpertsByLayer,
  type Placement,
  type SchedulerPolicy,
  type TransportOptions,
} from '@megascale/core';
import { simulatedLoopback, SimulatedWorld, withFaults } from '@megascale/m2n/testing';
import { Batcher, fcfs, prefillFirst, sloAware, uniformPlacement } from '@megascale/scheduler';
import { AttentionLoop } from '../../../src/attention/attention-loop.js';
import { ExpertMover } from '../../../src/placement/expert-mover.js';
import { ExpertTimer } from '../../../src/expert/expert-timer.js';
import type { CoordinatorMessage, WorkerMessage } from '../../../src/protocol/messages.js';
import { StepTuner } from '../../../src/attention/step-tuner.js';
import { PipelineTimer } from '../../../src/attention/pipeline-timer.js';
import { PolicyFailures } from '../../../src/plugins/policy-failures.js';
import { FlightRecorder } from '../../../src/recorder/flight-recorder.js';
import { serveExperts } from '../../../src/expert/expert-worker.js';
import { StepClock } from '../../../src/recorder/step-clock.js';
import { ThreadControl } from '../../../src/worker/thread-control.js';
import type { WorkerContext } from '../../../src/worker/worker-context.js';
import { WorkerProfiler } from '../../../src/recorder/worker-profiler.js';
import {
  HashedAttentionStage,
  HashedExpertStage,
  hiddenSize,
  topK,
  vocabSize,
} from './hashed-model.js';
import { Mailbox, mailboxAt } from './mailbox.js';
import { outputTokensMax, peerTimeoutMs, promptTokensMax, type Schedule } from './schedule.js';
import { SimulatedInbox, type TimedMessage } from './simulated-inbox.js';

/** What all of a world are given. */
export interface WorldStart {
  readonly schedule: Schedule;
  readonly world: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  /**
   * One word: attention ranks that nothing is to come for, and the coordinator once its moves have
   * ended.
   */
  readonly idle: SharedArrayBuffer;
  /** Of all ranks of the world, then of the coordinator. */
  readonly mailboxes: readonly SharedArrayBuffer[];
}

export interface RankStart extends WorldStart {
  readonly role: 'attention' | 'expert';
  readonly rank: number;
  readonly coming: readonly TimedMessage<CoordinatorMessage>[];
}

export interface RankEnd {
  readonly sent: readonly TimedMessage<WorkerMessage>[];
  readonly error: { readonly code: string; readonly message: string } | undefined;
  /** Rows asked for, or computed. */
  readonly rows: number;
  readonly kvPagesLeft: number;
  readonly preemptions: number;
  readonly earlySteps: number;
  /** Of an expert rank: those it holds in the end. */
  readonly experts: readonly (readonly number[])[];
}

/** What a rank answers the coordinator. */
export interface Answer {
  readonly role: 'attention' | 'expert';
  readonly rank: number;
  readonly message: WorkerMessage;
}

const moveAnswers = new Set<WorkerMessage['type']>([
  'experts-loaded',
  'placement-learned',
  'placement-adopted',
  'experts-dropped',
]);

export interface Meeting {
  exchange(address: string): ReturnType<TransportOptions['rendezvous']['exchange']>;
  /** The port is open; the world starts when all are. */
  opened(): void;
}

const policies: Record<Schedule['policy'], SchedulerPolicy> = {
  fcfs: fcfs,
  'prefill-first': prefillFirst,
  'slo-aware': sloAware(),
};

export function kvPageCountOf({ kvPageSize, kvPagesSpare }: Schedule): number {
  return Math.ceil((promptTokensMax + outputTokensMax) / kvPageSize) + kvPagesSpare;
}

export function rankInWorld(schedule: Schedule, role: RankStart['role'], rank: number): number {
  return role === 'attention' ? rank : schedule.attentionWorkers + rank;
}

export function firstPlacement(schedule: Schedule): Placement {
  const { expertCount, expertReplicas, expertWorkers, layerCount } = schedule;
  const replicas = Math.min(expertReplicas, expertWorkers);
  const everyLayer = uniformPlacement(expertCount, expertWorkers, replicas);
  return Array.from({ length: layerCount }, () => everyLayer);
}

export function wakeAll({ schedule }: WorldStart, world: SimulatedWorld): void {
  const count = schedule.attentionWorkers + schedule.expertWorkers + 1;
  for (let rank = 0; rank < count; rank += 1) world.wake(rank);
}

/** One more for whom nothing is to come any more. After the last of them the deployment ends. */
export function noteIdle(start: WorldStart, world: SimulatedWorld): void {
  const { schedule, idle, control } = start;
  if (Atomics.add(new Int32Array(idle), 0, 1) < schedule.attentionWorkers) return;
  new ThreadControl(control).stop();
  wakeAll(start, world);
}

/** Plays one rank of a schedule: the worker's own loop, on the simulated clock. */
export async function playRank(start: RankStart, meeting: Meeting): Promise<RankEnd> {
  const play = new RankPlay(start, meeting);
  return start.role === 'attention' ? play.attention() : play.expert();
}

class RankPlay {
  readonly #start: RankStart;
  readonly #meeting: Meeting;
  readonly #world: SimulatedWorld;
  readonly #control: ThreadControl;

  constructor(start: RankStart, meeting: Meeting) {
    this.#start = start;
    this.#meeting = meeting;
    const { schedule, role, rank } = start;
    this.#world = new SimulatedWorld(start.world, rankInWorld(schedule, role, rank));
    this.#control = new ThreadControl(start.control);
  }

  async attention(): Promise<RankEnd> {
    const { schedule, rank, coming } = this.#start;
    const world = this.#world;
    const model = { ...schedule, kvPageCount: kvPageCountOf(schedule) };
    const stage = new HashedAttentionStage(model, this.#work(schedule.attentionUs[rank] ?? 1));
    const port = await this.#transport().openAttention(attentionRank(rank), this.#options());
    stage.bindSlots(port.slots);
    const inbox = this.#inbox(coming, () => {
      noteIdle(this.#start, world);
    });
    const batcher = this.#batcher();
    const timer = new PipelineTimer(port.slots.length);
    const { overlapSteps } = schedule;
    const context = { start: { config: { overlapSteps } }, control: this.#control, inbox };
    const recorder = new FlightRecorder(64);
    const loop = new AttentionLoop(context as unknown as WorkerContext, {
      stage,
      port,
      batcher,
      vocabSize,
      topK,
      tuner: new StepTuner({ batcher, timer, choose: schedule.chooseMicroBatches }),
      clock: new StepClock(world, [recorder, timer]),
      profiler: new WorkerProfiler([], recorder, inbox),
      policyFailures: new PolicyFailures(inbox),
      layerCount: schedule.layerCount,
      expertCount: schedule.expertCount,
      slotExpertIds: [],
    });
    const error = await this.#run(async () => loop.run(), port);
    const { kvPagesTotal, kvPagesFree, preemptionsTotal } = batcher.counts;
    return {
      sent: inbox.sent,
      error,
      rows: stage.routes,
      kvPagesLeft: kvPagesTotal - kvPagesFree,
      preemptions: preemptionsTotal,
      earlySteps: this.#earlySteps,
      experts: [],
    };
  }

  #earlySteps = 0;

  async expert(): Promise<RankEnd> {
    const { schedule } = this.#start;
    const { layerCount } = schedule;
    const rank = expertRank(this.#start.rank);
    const options = this.#options();
    const { placement } = options;
    const experts = residentExpertsByLayer(placement, rank, layerCount);
    const stage = new HashedExpertStage(experts, {
      work: this.#work(schedule.expertUs[rank] ?? 1),
      load: () => {
        this.#world.sleep(schedule.loadUs);
      },
    });
    let receive: () => void = () => undefined;
    const port = await this.#transport().openExpert(rank, {
      ...options,
      stopReason: () => {
        receive();
        return this.#control.stopReason();
      },
    });
    stage.bindSlots(port.slots);
    const inbox = this.#inbox([], () => undefined);
    const clock = this.#world;
    const mover = new ExpertMover({ rank, stage, port, layerCount, placement, clock, inbox });
    receive = () => {
      for (const message of inbox.drain()) mover.receive(message);
      mover.work();
    };
    const timer = new ExpertTimer(() => undefined);
    const recorder = new FlightRecorder(64);
    const error = await this.#run(async () => {
      serveExperts({ port, stage, recorder, timer, clock, between: receive });
    }, port);
    const none = { sent: [], kvPagesLeft: 0, preemptions: 0, earlySteps: 0 };
    return { ...none, error, rows: stage.rows, experts: stage.experts };
  }

  #inbox(coming: RankStart['coming'], onIdle: () => void): SimulatedInbox {
    const { schedule, role, rank, mailboxes } = this.#start;
    const coordinator = schedule.attentionWorkers + schedule.expertWorkers;
    const toCoordinator = new Mailbox<Answer>(mailboxAt(mailboxes, coordinator));
    return new SimulatedInbox({
      world: this.#world,
      coming,
      control: this.#control,
      onIdle,
      mailbox: new Mailbox(mailboxAt(mailboxes, rankInWorld(schedule, role, rank))),
      onSend: (message) => {
        if (!moveAnswers.has(message.type)) return;
        toCoordinator.post({ role, rank, message });
        this.#world.wake(coordinator);
      },
    });
  }

  #batcher(): Batcher {
    const { schedule } = this.#start;
    const { microBatches, tokensPerMicroBatchMax } = schedule;
    // Also of fewer micro-batches, where m is chosen.
    const slots = schedule.chooseMicroBatches ? 1 : microBatches;
    const batcher = new Batcher({
      policy: policies[schedule.policy],
      prefixSharing: schedule.prefixSharing,
      kvPageCount: kvPageCountOf(schedule),
      kvPageSize: schedule.kvPageSize,
      microBatchCount: microBatches,
      tokensPerMicroBatchMax,
      maxNumBatchedTokens: Math.min(schedule.maxNumBatchedTokens, slots * tokensPerMicroBatchMax),
      prefillChunkTokensMax: schedule.prefillChunkTokens,
      maxNumSeqs: schedule.maxNumSeqs,
      maxQueuedRequests: 20,
      positionsMax: 100,
    });
    const plan = batcher.planStep.bind(batcher);
    batcher.planStep = (nowMs) => {
      const step = plan(nowMs);
      if (step?.overlapsPrevious === true) this.#earlySteps += 1;
      return step;
    };
    return batcher;
  }

  #transport() {
    const { schedule } = this.#start;
    const counts = { attention: schedule.attentionWorkers, expert: schedule.expertWorkers };
    const faults = schedule.faults.map((fault) => ({
      ...fault,
      rank: fault.rank % counts[fault.role],
    }));
    const loopback = simulatedLoopback(this.#world, schedule.attentionWorkers);
    return withFaults(loopback, {
      faults,
      sleep: (ms) => {
        this.#world.sleep(ms * 1000);
      },
    });
  }

  #options(): TransportOptions {
    const { schedule } = this.#start;
    return {
      attentionWorkerCount: schedule.attentionWorkers,
      expertWorkerCount: schedule.expertWorkers,
      placement: firstPlacement(schedule),
      layerCount: schedule.layerCount,
      hiddenSize,
      topK,
      dtype: 'f32',
      tokensPerSlotMax: schedule.tokensPerMicroBatchMax,
      slotCount: schedule.microBatches,
      peerTimeoutMs,
      spinUs: schedule.spinUs,
      gather: schedule.gather,
      ...(schedule.link === undefined
        ? {}
        : { emulatedLink: { ...schedule.link, seed: schedule.seed } }),
      clock: this.#world,
      stopReason: this.#control.stopReason,
      allocate: (byteLength) => ({ memory: 'host', byteLength, bytes: new Uint8Array(byteLength) }),
      rendezvous: { exchange: (address) => this.#meeting.exchange(address) },
    };
  }

  /** Mostly about the mean, now and then five or thirty times as long. */
  #work(meanUs: number) {
    return (tokens: number): void => {
      const drawn = this.#world.fraction();
      const factor = drawn < 0.005 ? 30 : drawn < 0.05 ? 5 : 0.5 + drawn;
      this.#world.sleep(factor * (meanUs / 2 + (meanUs * tokens) / 8));
    };
  }

  /** Does what a data thread and the coordinator do around a worker's loop. */
  async #run(loop: () => Promise<void>, port: { close(): void }): Promise<RankEnd['error']> {
    const { role, rank } = this.#start;
    this.#meeting.opened();
    this.#world.enter();
    try {
      await loop();
      return undefined;
    } catch (error) {
      if (this.#control.stopReason() !== undefined) return undefined;
      this.#control.reportLost(role, rank);
      wakeAll(this.#start, this.#world);
      const { code = 'none', message } = error as Error & { readonly code?: string };
      return { code, message: code === 'none' ? `${message}\n${(error as Error).stack}` : message };
    } finally {
      port.close();
      this.#world.leave();
    }
  }
}
