import {
  deserializeError,
  RequestError,
  systemClock,
  type LayerPlacement,
  type Placement,
  type PlacementEpoch,
  type ResolvedSampling,
} from '@megascale/core';
import { deferred, type Deferred } from '../protocol/deferred.js';
import type { ExpertBalance } from '../placement/expert-balance.js';
import { Fleet } from './worker-pool.js';
import type { WorkerHandle } from '../protocol/worker-handle.js';
import type { EngineStats, WorkerProfile } from '../spec/language-model.js';
import type { Admission, WorkerMessage, WorkerStats } from '../protocol/messages.js';
import type { BalanceLinks } from '../placement/open-balance.js';
import type { EngineConfig } from '../config/engine-config.js';
import { uniformPlacement } from '@megascale/scheduler';
import { PlacementKeeper, type MoveReport } from '../placement/placement-keeper.js';
import { RecordingDesk } from '../recorder/take-recordings.js';
import type { WorkerRecording } from '../recorder/worker-recording.js';
import { TokenStream } from './token-stream.js';
import { WorkerLoads, type PlacedSequence } from './worker-loads.js';

/** How long after a loss the workers are started again: doubled with every loss. */
const restartDelayMs = 200;

export interface SequenceSubmission {
  readonly promptTokenIds: readonly number[];
  readonly maxTokens: number;
  readonly endTokenIds: readonly number[];
  readonly sampling: ResolvedSampling;
  readonly logprobs?: number;
  readonly priority?: number;
  readonly tenant?: string;
  readonly ttftTargetMs?: number;
  readonly tpotTargetMs?: number;
}

interface Assigned {
  readonly rank: number;
  readonly stream: TokenStream;
  readonly placed: PlacedSequence;
}

export interface CoordinatorOptions {
  readonly config: EngineConfig;
  readonly modelDirectory: string;
  /** Of the model; layers are those with experts. */
  readonly expertCount: number;
  readonly layerCount: number;
  readonly workerFile: URL;
  readonly restartsMax: number;
  /** Where expert loads are recorded or balanced. */
  readonly openBalance?: ((links: BalanceLinks) => ExpertBalance) | undefined;
  readonly onReady?: (worker: WorkerHandle) => void;
  /** A worker's policy failed, in a way it had not before. */
  readonly onPolicyFailed?: (error: Error) => void;
  /** A worker was lost; what follows is a restart or, in the end, the state 'failed'. */
  readonly onLost?: (error: Error) => void;
}

type ProfileTaken = Omit<WorkerProfile, 'role' | 'rank' | 'pid'>;
type State = Extract<EngineStats['state'], string>;

/** Admits sequences, gives each to an attention worker, passes its tokens on, and keeps the workers alive. */
export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #sequences = new Map<number, Assigned>();
  readonly #workerStats = new Map<WorkerHandle, WorkerStats>();
  /** By attention rank: submitted in this turn of the event loop. */
  readonly #unsent = new Map<number, Admission[]>();
  readonly #loads: WorkerLoads;
  readonly #recordings = new RecordingDesk();
  readonly #placement: PlacementKeeper;
  readonly #balance: ExpertBalance | undefined;
  readonly #profiles = new Map<WorkerHandle, Deferred<ProfileTaken>>();
  #fleet: Fleet | undefined;
  #state: State = 'ready';
  #reason: string | undefined;
  #nextId = 1;
  #restarts = 0;
  #recovery: Promise<void> = Promise.resolve();
  #idle: (() => void) | undefined;
  #promptTokensTotal = 0;
  #outputTokensTotal = 0;

  private constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#loads = new WorkerLoads(options.config);
    const { config } = options;
    this.#placement = new PlacementKeeper(config, {
      epoch: 0,
      placement: firstPlacement(options),
    });
    this.#balance = options.openBalance?.({
      placement: () => {
        const canMove = this.#state === 'ready' && this.#fleet !== undefined;
        return canMove && !this.#placement.isMoving ? this.#placement.inForce.placement : undefined;
      },
      move: (placement) => this.movePlacement(placement),
    });
  }

  static async start(options: CoordinatorOptions): Promise<Coordinator> {
    const coordinator = new Coordinator(options);
    await coordinator.#startFleet();
    return coordinator;
  }

  get backend(): { readonly name: string; readonly isa: string } {
    return this.#fleet?.backend ?? { name: this.#options.config.backend, isa: '' };
  }

  /** @throws RequestError 'ERR_UNAVAILABLE' while there are no workers, 'ERR_QUEUE_FULL' beyond `maxQueuedRequests` per worker. */
  submit(submission: SequenceSubmission): { readonly id: number; readonly stream: TokenStream } {
    this.#requireFleet();
    const { config } = this.#options;
    const admitted = config.attentionWorkers * (config.maxQueuedRequests + config.maxNumSeqs);
    if (this.#sequences.size >= admitted) {
      throw new RequestError('ERR_QUEUE_FULL', {
        message: `${String(this.#sequences.size)} sequences are running or waiting, and no more are taken. Retry later, or let the server take more with --max-queued-requests (option maxQueuedRequests).`,
        details: { limit: 'maxQueuedRequests', max: admitted },
      });
    }
    const placed = this.#loads.place(submission.promptTokenIds, submission.maxTokens);
    const { rank } = placed;
    const id = this.#nextId++;
    const stream = new TokenStream();
    this.#sequences.set(id, { rank, stream, placed });
    this.#promptTokensTotal += submission.promptTokenIds.length;
    this.#admit(rank, {
      id,
      ...submission,
      submittedUs: systemClock.nowUs(),
      promptTokenIds: [...submission.promptTokenIds],
      endTokenIds: [...submission.endTokenIds],
    });
    return { id, stream };
  }

  /** What is submitted in one turn reaches the worker in one message, and may so start in one step. */
  #admit(rank: number, admission: Admission): void {
    const sequences = this.#unsent.get(rank);
    if (sequences !== undefined) {
      sequences.push(admission);
      return;
    }
    this.#unsent.set(rank, [admission]);
    queueMicrotask(() => {
      this.#sendAdmissions(rank);
    });
  }

  #sendAdmissions(rank: number): void {
    const sequences = this.#unsent.get(rank);
    if (sequences === undefined) return;
    this.#unsent.delete(rank);
    this.#fleet?.attention[rank]?.send({ type: 'sequences-admitted', sequences });
  }

  /** Every worker's, attention workers first. Recording starts anew, for the next `recordsMax` ops of each stage. */
  async profile(recordsMax: number): Promise<WorkerProfile[]> {
    const fleet = this.#requireFleet();
    return Promise.all(
      [...fleet.attention, ...fleet.expert].map(async (worker) => {
        const taken = deferred<ProfileTaken>();
        this.#profiles.get(worker)?.reject(new Error('Another profile was asked for.'));
        this.#profiles.set(worker, taken);
        worker.send({ type: 'profile-requested', recordsMax });
        return { ...describe(worker), ...(await taken.promise) };
      }),
    );
  }

  /** What every worker's flight recorder holds, attention workers first. */
  async recordings(): Promise<WorkerRecording[]> {
    const fleet = this.#requireFleet();
    return this.#recordings.take([...fleet.attention, ...fleet.expert]);
  }

  /** Moves experts between the workers while they serve; see `PlacementKeeper.move`. */
  async movePlacement(
    placement: unknown,
    bytesPerSecond = this.#options.config.moveBytesPerSecond,
  ): Promise<MoveReport> {
    return this.#placement.move(this.#requireFleet(), placement, bytesPerSecond);
  }

  get placement(): PlacementEpoch & { readonly moving: boolean } {
    return { ...this.#placement.inForce, moving: this.#placement.isMoving };
  }

  /** Frees what the sequence holds. Nothing happens when it has already ended. */
  cancel(id: number): void {
    const sequence = this.#sequences.get(id);
    if (sequence === undefined) return;
    this.#sendAdmissions(sequence.rank);
    this.#fleet?.attention[sequence.rank]?.send({ type: 'sequence-cancelled', id });
    this.#forget(id);
  }

  stats(): EngineStats {
    const { config } = this.#options;
    const all = [...this.#workerStats.values()];
    const sum = (pick: (stats: WorkerStats) => number): number =>
      all.reduce((total, stats) => total + pick(stats), 0);
    const kvPagesTotal = config.kvPages * config.attentionWorkers;
    const unreported = (config.attentionWorkers - all.length) * config.kvPages;
    const spent = {
      totalUs: sum((stats) => stats.totalUs),
      computeUs: sum((stats) => stats.computeUs),
      waitUs: sum((stats) => stats.waitUs),
      dispatchUs: sum((stats) => stats.dispatchUs),
      samplingUs: sum((stats) => stats.samplingUs),
    };
    const fleet = this.#fleet;
    const running = sum((stats) => stats.sequencesRunning);
    return {
      state: this.#state,
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
      requestsWaiting: Math.max(0, this.#sequences.size - running),
      requestsRunning: running,
      kvPagesTotal,
      kvPagesFree: sum((stats) => stats.kvPagesFree) + unreported,
      kvPagesCached: sum((stats) => stats.kvPagesCached),
      cachedPromptTokensTotal: sum((stats) => stats.cachedPromptTokens),
      computedTokensTotal: sum((stats) => stats.computedTokens),
      policyErrorsTotal: sum((stats) => stats.policyErrors),
      promptTokensTotal: this.#promptTokensTotal,
      outputTokensTotal: this.#outputTokensTotal,
      preemptionsTotal: sum((stats) => stats.preemptions),
      microBatches: Math.max(0, ...all.map((stats) => stats.microBatches)),
      stepsTotal: sum((stats) => stats.steps),
      ...(this.#balance === undefined ? {} : { experts: this.#balance.stats }),
      workers: fleet === undefined ? [] : [...fleet.attention, ...fleet.expert].map(describe),
      stepTime: {
        ...spent,
        drivingUs:
          spent.totalUs - spent.computeUs - spent.waitUs - spent.dispatchUs - spent.samplingUs,
        halfLayers: sum((stats) => stats.halfLayers),
      },
    };
  }

  /** Takes no more, waits for running sequences at most `drainMs`, fails the rest, stops every worker. */
  async close(drainMs: number): Promise<void> {
    if (this.#state === 'closed') return;
    if (this.#state === 'ready') this.#state = 'draining';
    if (this.#sequences.size > 0 && drainMs > 0) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
        timer = setTimeout(resolve, drainMs);
      });
      clearTimeout(timer);
    }
    this.#state = 'closed';
    const closed = new RequestError('ERR_UNAVAILABLE', {
      message: 'The engine was closed. Send the request elsewhere.',
    });
    this.#placement.fail(closed);
    this.#failAll(closed);
    await this.#recovery;
    await this.#fleet?.stop();
    this.#fleet = undefined;
    this.#balance?.close();
  }

  async #startFleet(): Promise<void> {
    const { onReady } = this.#options;
    this.#fleet = await Fleet.start({
      ...this.#options,
      placement: this.#placement.inForce,
      onMessage: (worker, message) => {
        this.#receive(worker, message);
      },
      onLost: (error) => {
        this.#recovery = this.#recover(error);
      },
      ...(onReady === undefined ? {} : { onReady }),
    });
  }

  #receive(worker: WorkerHandle, message: WorkerMessage): void {
    if (message.type === 'sequence-failed') {
      this.#sequences.get(message.id)?.stream.fail(deserializeError(message.error));
      this.#forget(message.id);
    }
    this.#recordings.receive(worker, message);
    this.#placement.receive(worker, message);
    this.#balance?.receive(message);
    if (message.type === 'policy-failed') {
      this.#options.onPolicyFailed?.(deserializeError(message.error));
    }
    if (message.type === 'experts-timed') {
      const times = { ...message, rank: worker.rank };
      for (const attention of this.#fleet?.attention ?? []) attention.send(times);
    }
    if (message.type === 'profile-taken') {
      const { stages, steps } = message;
      this.#profiles.get(worker)?.resolve({ stages, steps });
      this.#profiles.delete(worker);
    }
    if (message.type !== 'tokens-generated') return;
    this.#workerStats.set(worker, message.stats);
    this.#loads.noteCost(worker.rank, message.stats.attentionCost);
    for (const token of message.tokens) {
      // Cancelled in the meantime: its last tokens are nobody's.
      const sequence = this.#sequences.get(token.sequence);
      if (sequence === undefined) continue;
      this.#outputTokensTotal += 1;
      this.#loads.noteToken(sequence.placed);
      sequence.stream.push(token);
      if (token.finished !== undefined) this.#forget(token.sequence);
    }
  }

  /** A worker was lost: its steps cannot go on, so every sequence ends with the reason, and all workers start anew. */
  async #recover(error: Error): Promise<void> {
    if (this.#state === 'closed') return;
    this.#options.onLost?.(error);
    const draining = this.#state === 'draining';
    this.#state = 'failed';
    this.#reason = error.message;
    this.#failAll(error);
    await this.#fleet?.stop();
    this.#fleet = undefined;
    this.#workerStats.clear();
    this.#unsent.clear();
    for (const waiting of this.#profiles.values()) waiting.reject(error);
    this.#recordings.fail(error);
    this.#placement.fail(error);
    this.#profiles.clear();
    if (draining || this.#restarts >= this.#options.restartsMax) return;
    this.#restarts += 1;
    await delay(restartDelayMs * 2 ** (this.#restarts - 1));
    if (this.#isClosed()) return;
    try {
      await this.#startFleet();
    } catch (cause) {
      this.#reason = cause instanceof Error ? cause.message : String(cause);
      return;
    }
    if (this.#isClosed()) return;
    this.#state = 'ready';
    this.#reason = undefined;
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #requireFleet(): Fleet {
    if (this.#state === 'ready' && this.#fleet !== undefined) return this.#fleet;
    throw new RequestError('ERR_UNAVAILABLE', {
      message: `The engine takes no requests now, its state is "${this.#state}". Retry later.`,
      details: { state: this.#state, reason: this.#reason },
    });
  }

  #forget(id: number): void {
    const sequence = this.#sequences.get(id);
    if (sequence !== undefined) this.#loads.remove(sequence.placed);
    this.#sequences.delete(id);
    if (this.#sequences.size === 0) this.#idle?.();
  }

  #failAll(error: Error): void {
    for (const [id, { stream }] of this.#sequences) {
      stream.fail(error);
      this.#forget(id);
    }
  }
}

/** What expert workers hold when nothing was moved yet. */
function firstPlacement({ config, expertCount, layerCount }: CoordinatorOptions): Placement {
  const { colocated, expertWorkers, expertReplicas } = config;
  const [workers, replicas] = colocated ? [1, 1] : [expertWorkers, expertReplicas];
  return Array<LayerPlacement>(layerCount).fill(uniformPlacement(expertCount, workers, replicas));
}

function describe({ role, rank, pid }: WorkerHandle): EngineStats['workers'][number] {
  return { role, rank, pid };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
