import { setTimeout as delay } from 'node:timers/promises';
import {
  deserializeError,
  RequestError,
  type LayerPlacement,
  type Placement,
  type PlacementEpoch,
} from '@megascale/core';
import { uniformPlacement } from '@megascale/scheduler';
import type { EngineConfig } from '../config/engine-config.js';
import type { ExpertBalance } from '../placement/expert-balance.js';
import type { BalanceLinks } from '../placement/open-balance.js';
import { PlacementKeeper, type MoveReport } from '../placement/placement-keeper.js';
import type { WorkerMessage, WorkerStats } from '../protocol/messages.js';
import type { WorkerHandle } from '../protocol/worker-handle.js';
import { RecordingCollector } from '../recorder/recording-collector.js';
import type { WorkerRecording } from '../recorder/worker-recording.js';
import type { EngineStats, WorkerProfile } from '../spec/language-model.js';
import { engineStats } from './engine-stats.js';
import {
  SequenceTable,
  type SequenceSubmission,
  type SubmittedSequence,
} from './sequence-table.js';
import { WorkerPool } from './worker-pool.js';

/** How long after a loss the workers are started again; the delay doubles with every loss. */
const restartDelayMs = 200;

export interface CoordinatorOptions {
  readonly config: EngineConfig;
  readonly modelDirectory: string;
  readonly expertCount: number;
  /** The layers with experts. */
  readonly layerCount: number;
  /** Start file of a worker process. */
  readonly workerFile: URL;
  readonly restartsMax: number;
  /** Present where expert loads are recorded or balanced. */
  readonly openBalance?: ((links: BalanceLinks) => ExpertBalance) | undefined;
  readonly onReady?: (worker: WorkerHandle) => void;
  /** Receives an error of a worker's policy that it has not had before. */
  readonly onPolicyFailed?: (error: Error) => void;
  /** Receives the loss of a worker. A restart follows, or in the end the state 'failed'. */
  readonly onLost?: (error: Error) => void;
}

/**
 * Admits sequences, gives each to an attention worker, passes its tokens on, and keeps the workers
 * alive.
 */
export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #sequences: SequenceTable;
  readonly #workerStats = new Map<WorkerHandle, WorkerStats>();
  readonly #collector = new RecordingCollector();
  readonly #placement: PlacementKeeper;
  readonly #balance: ExpertBalance | undefined;
  #pool: WorkerPool | undefined;
  #state: EngineStats['state'] = 'ready';
  #reason: string | undefined;
  #restarts = 0;
  #recovery: Promise<void> = Promise.resolve();

  /** Callers use `Coordinator.start`. */
  constructor(options: CoordinatorOptions) {
    const { config } = options;
    this.#options = options;
    this.#sequences = new SequenceTable(config, (rank, message) => {
      this.#pool?.attention[rank]?.send(message);
    });
    const placement = firstPlacement(options);
    this.#placement = new PlacementKeeper(config, { epoch: 0, placement });
    this.#balance = options.openBalance?.({
      placement: () => this.#movablePlacement(),
      move: (to) => this.movePlacement(to),
    });
  }

  /**
   * Resolves when every worker is ready. Rejects with the first worker's error, none left running.
   */
  static async start(options: CoordinatorOptions): Promise<Coordinator> {
    const coordinator = new Coordinator(options);
    await coordinator.#startPool();
    return coordinator;
  }

  get backend(): { readonly name: string; readonly isa: string } {
    return this.#pool?.backend ?? { name: this.#options.config.backend, isa: '' };
  }

  /**
   * @throws RequestError 'ERR_UNAVAILABLE' while there are no workers, 'ERR_QUEUE_FULL' beyond
   * `maxQueuedRequests` for each attention worker.
   */
  submit(submission: SequenceSubmission): SubmittedSequence {
    this.#requirePool();
    return this.#sequences.submit(submission);
  }

  /** Frees what the sequence holds. Does nothing when it has already ended. */
  cancel(id: number): void {
    this.#sequences.cancel(id);
  }

  /**
   * Returns the profile of every worker, attention workers first. Recording starts anew, for the
   * next `recordsMax` ops of each stage.
   */
  async profile(recordsMax: number): Promise<WorkerProfile[]> {
    return this.#collector.profiles(this.#requirePool().all, recordsMax);
  }

  /** Returns what the flight recorder of every worker holds, attention workers first. */
  async recordings(): Promise<WorkerRecording[]> {
    return this.#collector.recordings(this.#requirePool().all);
  }

  /** Moves experts between the workers while they serve; see `PlacementKeeper.move`. */
  async movePlacement(
    placement: unknown,
    bytesPerSecond = this.#options.config.moveBytesPerSecond,
  ): Promise<MoveReport> {
    return this.#placement.move(this.#requirePool(), placement, bytesPerSecond);
  }

  get placement(): PlacementEpoch & { readonly moving: boolean } {
    return { ...this.#placement.inForce, moving: this.#placement.isMoving };
  }

  stats(): EngineStats {
    return engineStats({
      config: this.#options.config,
      state: this.#state,
      reason: this.#reason,
      sequences: this.#sequences.size,
      promptTokensTotal: this.#sequences.promptTokensTotal,
      outputTokensTotal: this.#sequences.outputTokensTotal,
      reports: [...this.#workerStats.values()],
      experts: this.#balance?.stats,
      workers: (this.#pool?.all ?? []).map(({ role, rank, pid }) => ({ role, rank, pid })),
    });
  }

  /**
   * Refuses new sequences, waits for running ones at most `drainMs`, fails the rest, stops every
   * worker. Idempotent.
   */
  async close(drainMs: number): Promise<void> {
    if (this.#state === 'closed') return;
    if (this.#state === 'ready') this.#state = 'draining';
    await this.#sequences.drained(drainMs);
    this.#state = 'closed';
    const closed = new RequestError('ERR_UNAVAILABLE', {
      message: 'The engine was closed. Send the request elsewhere.',
    });
    this.#placement.fail(closed);
    this.#sequences.failAll(closed);
    await this.#recovery;
    await this.#pool?.stop();
    this.#pool = undefined;
    this.#balance?.close();
  }

  async #startPool(): Promise<void> {
    const { onReady } = this.#options;
    this.#pool = await WorkerPool.start({
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
    if (message.type === 'tokens-generated') this.#workerStats.set(worker, message.stats);
    this.#sequences.receive(worker, message);
    this.#collector.receive(worker, message);
    this.#placement.receive(worker, message);
    this.#balance?.receive(message);
    if (message.type === 'policy-failed') {
      this.#options.onPolicyFailed?.(deserializeError(message.error));
    }
    if (message.type === 'experts-timed') {
      const times = { ...message, rank: worker.rank };
      for (const attention of this.#pool?.attention ?? []) attention.send(times);
    }
  }

  /**
   * Recovers from the loss of a worker. Its steps cannot go on, so that every sequence ends with
   * the reason, and all workers start anew.
   */
  async #recover(error: Error): Promise<void> {
    if (this.#state === 'closed') return;
    this.#options.onLost?.(error);
    const draining = this.#state === 'draining';
    this.#state = 'failed';
    this.#reason = error.message;
    this.#sequences.failAll(error);
    await this.#pool?.stop();
    this.#pool = undefined;
    this.#workerStats.clear();
    this.#collector.fail(error);
    this.#placement.fail(error);
    if (draining || this.#restarts >= this.#options.restartsMax) return;
    this.#restarts += 1;
    await delay(restartDelayMs * 2 ** (this.#restarts - 1));
    if (this.#isClosed()) return;
    try {
      await this.#startPool();
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

  /** Returns the placement in force; undefined while no experts can be moved. */
  #movablePlacement(): Placement | undefined {
    const canMove = this.#state === 'ready' && this.#pool !== undefined;
    return canMove && !this.#placement.isMoving ? this.#placement.inForce.placement : undefined;
  }

  #requirePool(): WorkerPool {
    if (this.#state === 'ready' && this.#pool !== undefined) return this.#pool;
    throw new RequestError('ERR_UNAVAILABLE', {
      message: `The engine takes no requests now, its state is "${this.#state}". Retry later.`,
      details: { state: this.#state, reason: this.#reason },
    });
  }
}

/** Returns what the expert workers hold before anything was moved. */
function firstPlacement({ config, expertCount, layerCount }: CoordinatorOptions): Placement {
  const { colocated, expertWorkers, expertReplicas } = config;
  const [workers, replicas] = colocated ? [1, 1] : [expertWorkers, expertReplicas];
  return Array<LayerPlacement>(layerCount).fill(uniformPlacement(expertCount, workers, replicas));
}
