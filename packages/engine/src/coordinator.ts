import {
  attentionRank,
  deserializeError,
  RequestError,
  type ResolvedSampling,
} from '@megascale/core';
import { chooseAttentionWorker } from '@megascale/scheduler';
import { deferred, type Deferred } from './deferred.js';
import { Fleet, type WorkerHandle } from './fleet.js';
import type { EngineStats, WorkerProfile } from './language-model.js';
import type { Admission, WorkerMessage, WorkerStats } from './messages.js';
import type { EngineConfig } from './options.js';
import { TokenStream } from './token-stream.js';

/** How long after a loss the workers are started again: doubled with every loss. */
const restartDelayMs = 200;

export interface SequenceSubmission {
  readonly promptTokenIds: readonly number[];
  readonly maxTokens: number;
  readonly endTokenIds: readonly number[];
  readonly sampling: ResolvedSampling;
  readonly logprobs?: number;
}

interface Assigned {
  readonly rank: number;
  readonly stream: TokenStream;
  readonly promptTokens: number;
  outstandingTokens: number;
}

export interface CoordinatorOptions {
  readonly config: EngineConfig;
  readonly modelDirectory: string;
  readonly workerFile: URL;
  readonly restartsMax: number;
  readonly onReady?: (worker: WorkerHandle) => void;
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
  }

  static async start(options: CoordinatorOptions): Promise<Coordinator> {
    const coordinator = new Coordinator(options);
    await coordinator.#startFleet();
    return coordinator;
  }

  get backend(): { readonly name: string; readonly isa: string } {
    return this.#fleet?.backend ?? { name: this.#options.config.backend, isa: '' };
  }

  /** @throws RequestError 'ERR_UNAVAILABLE' while there are no workers, 'ERR_QUEUE_FULL' beyond `waitingMax` per worker. */
  submit(submission: SequenceSubmission): { readonly id: number; readonly stream: TokenStream } {
    this.#requireFleet();
    const { config } = this.#options;
    const admitted = config.attentionWorkers * (config.waitingMax + config.runningMax);
    if (this.#sequences.size >= admitted) {
      throw new RequestError('ERR_QUEUE_FULL', {
        message: `${String(this.#sequences.size)} sequences are running or waiting, and no more are taken. Retry later, or raise waitingMax.`,
        details: { limit: 'waitingMax', max: admitted },
      });
    }
    const rank = chooseAttentionWorker(this.#loads()) ?? attentionRank(0);
    const id = this.#nextId++;
    const stream = new TokenStream();
    this.#sequences.set(id, {
      rank,
      stream,
      promptTokens: submission.promptTokenIds.length,
      outstandingTokens: submission.promptTokenIds.length + submission.maxTokens,
    });
    this.#promptTokensTotal += submission.promptTokenIds.length;
    this.#admit(rank, {
      id,
      ...submission,
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
      promptTokensTotal: this.#promptTokensTotal,
      outputTokensTotal: this.#outputTokensTotal,
      preemptionsTotal: sum((stats) => stats.preemptions),
      stepsTotal: sum((stats) => stats.steps),
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
    this.#failAll(
      new RequestError('ERR_UNAVAILABLE', {
        message: 'The engine was closed. Send the request elsewhere.',
      }),
    );
    await this.#recovery;
    await this.#fleet?.stop();
    this.#fleet = undefined;
  }

  async #startFleet(): Promise<void> {
    const { onReady } = this.#options;
    this.#fleet = await Fleet.start({
      ...this.#options,
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
    if (message.type === 'profile-taken') {
      const { stages, steps } = message;
      this.#profiles.get(worker)?.resolve({ stages, steps });
      this.#profiles.delete(worker);
    }
    if (message.type !== 'tokens-generated') return;
    this.#workerStats.set(worker, message.stats);
    for (const token of message.tokens) {
      // Cancelled in the meantime: its last tokens are nobody's.
      const sequence = this.#sequences.get(token.sequence);
      if (sequence === undefined) continue;
      this.#outputTokensTotal += 1;
      sequence.outstandingTokens -= 1;
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

  #loads(): { rank: ReturnType<typeof attentionRank>; outstandingTokens: number }[] {
    const loads = Array.from({ length: this.#options.config.attentionWorkers }, (_, rank) => ({
      rank: attentionRank(rank),
      outstandingTokens: 0,
    }));
    for (const { rank, outstandingTokens } of this.#sequences.values()) {
      const load = loads[rank];
      if (load !== undefined) load.outstandingTokens += outstandingTokens;
    }
    return loads;
  }

  #forget(id: number): void {
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

function describe({ role, rank, pid }: WorkerHandle): EngineStats['workers'][number] {
  return { role, rank, pid };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
