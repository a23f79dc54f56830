import {
  attentionRank,
  MegascaleError,
  sequenceId,
  type SchedulerPolicy,
  type SequenceId,
} from '@megascale/core';
import {
  Batcher,
  chooseAttentionWorker,
  outputTokenCount,
  type EmittedToken,
  type SequenceRequest,
} from '@megascale/scheduler';
import type { SimulatedRequest } from '../load/requests.js';
import type { PipelineSimulation } from '../step/pipeline-simulation.js';
import { BatcherSteps, type BatcherStep, type StepListener } from './batcher-steps.js';
import type { RequestState, ServingMetrics, ServingSample } from './serving-metrics.js';
import type { ServingRun } from './serving-run.js';

/** The prompts of all requests: the simulator reads no tokens. */
const positionsMax = 2_097_152;

type PoolRun = Pick<ServingRun, 'instance' | 'limits' | 'targets'> & {
  readonly policy: SchedulerPolicy;
};

interface Worker {
  batcher: Batcher;
  steps: BatcherSteps;
  lost: boolean;
}

/** The attention workers of an instance and their requests: who goes where, and what comes back. */
export class AttentionPool implements StepListener {
  readonly #run: PoolRun;
  readonly #metrics: ServingMetrics;
  readonly #workers: Worker[];
  readonly #open = new Map<SequenceId, RequestState>();
  /** Sequences of lost workers that find no other worker. */
  #stranded: SequenceRequest[] = [];
  readonly #zeros = new Uint8Array(positionsMax);
  #simulation: PipelineSimulation<BatcherStep> | undefined;
  #nextId = 0;
  #preemptionsOfLost = 0;

  constructor(run: PoolRun, metrics: ServingMetrics) {
    this.#run = run;
    this.#metrics = metrics;
    this.#workers = Array.from({ length: run.instance.attentionWorkers }, () => this.#newWorker());
  }

  /** [M] they always ask the batcher that is there now. */
  get sources() {
    return this.#workers.map((worker) => ({
      next: (nowUs: number) => worker.steps.next(nowUs),
      startMicroBatch: (step: BatcherStep, microBatch: number) => {
        worker.steps.startMicroBatch(step, microBatch);
      },
      endMicroBatch: (step: BatcherStep, microBatch: number, nowUs: number) => {
        worker.steps.endMicroBatch(step, microBatch, nowUs);
      },
      end: (step: BatcherStep, nowUs: number) => {
        worker.steps.end(step, nowUs);
      },
    }));
  }

  drive(simulation: PipelineSimulation<BatcherStep>): void {
    this.#simulation = simulation;
  }

  /** Requests that are neither finished nor refused. */
  get openRequests(): number {
    return this.#open.size;
  }

  get preemptions(): number {
    return this.#workers.reduce(
      (sum, { batcher }) => sum + batcher.counts.preemptionsTotal,
      this.#preemptionsOfLost,
    );
  }

  arrive({ promptTokens, outputTokens }: SimulatedRequest, nowUs: number): void {
    this.#metrics.counts.arrived += 1;
    const id = sequenceId((this.#nextId += 1));
    const { ttftMs, tpotMs } = this.#run.targets ?? {};
    const request: SequenceRequest = {
      id,
      promptTokens: this.#zeros.subarray(0, promptTokens),
      maxTokens: outputTokens,
      eosTokenIds: [],
      ignoreEos: true,
      arrivedAtMs: nowUs / 1000,
      sampling: {},
      ...(ttftMs === undefined ? {} : { ttftTargetMs: ttftMs }),
      ...(tpotMs === undefined ? {} : { tpotTargetMs: tpotMs }),
    };
    const state = { arrivalUs: nowUs, promptTokens, firstUs: 0, lastUs: 0, tokens: 0 };
    this.#open.set(id, state);
    const refused = !this.#place(request, nowUs, 'add');
    if (refused) {
      this.#metrics.counts.refused += 1;
      this.#open.delete(id);
    }
  }

  lose(rank: number, nowUs: number): void {
    const worker = this.#workers[rank];
    if (worker === undefined || worker.lost) return;
    this.#simulation?.loseAttentionWorker(rank);
    const orphans = worker.batcher.sequences().map(({ history }) => ({
      request: {
        ...history.request,
        outputTokens: history.tokens.slice(history.promptTokenCount),
      },
      computed: history.promptTokenCount + outputTokenCount(history),
    }));
    this.#preemptionsOfLost += worker.batcher.counts.preemptionsTotal;
    Object.assign(worker, this.#newWorker(), { lost: true });
    const { counts } = this.#metrics;
    for (const { request, computed } of orphans) {
      counts.resumed += 1;
      counts.recomputed += computed;
      this.#place(request, nowUs, 'resume');
    }
  }

  recover(rank: number, nowUs: number): void {
    const worker = this.#workers[rank];
    if (worker === undefined) return;
    worker.lost = false;
    const stranded = this.#stranded;
    this.#stranded = [];
    for (const request of stranded) this.#place(request, nowUs, 'resume');
  }

  onToken(token: EmittedToken, nowUs: number): void {
    const state = this.#open.get(token.id);
    if (state === undefined) return;
    const finished = token.finishReason !== undefined;
    this.#metrics.onToken(state, nowUs, finished);
    if (finished) this.#open.delete(token.id);
  }

  onStep(): void {
    this.#metrics.steps += 1;
  }

  state(): Omit<ServingSample, 'atS' | 'outputTokensPerSecond'> {
    const counts = this.#workers.map(({ batcher }) => batcher.counts);
    const sum = (pick: (of: (typeof counts)[number]) => number): number =>
      counts.reduce((total, each) => total + pick(each), 0);
    const pages = sum(({ kvPagesTotal }) => kvPagesTotal);
    return {
      waiting: sum(({ waiting }) => waiting) + this.#stranded.length,
      running: sum(({ running }) => running),
      kvUse: 1 - sum(({ kvPagesFree }) => kvPagesFree) / pages,
    };
  }

  /** To the worker with the fewest outstanding tokens. False: refused. */
  #place(request: SequenceRequest, nowUs: number, how: 'add' | 'resume'): boolean {
    const loads = this.#workers.flatMap(({ batcher, lost }, rank) =>
      lost
        ? []
        : [
            {
              rank: attentionRank(rank),
              outstandingTokens: this.#workers.length > 1 ? batcher.counts.outstandingTokens : 0,
            },
          ],
    );
    const rank = chooseAttentionWorker(loads);
    const worker = rank === undefined ? undefined : this.#workers[rank];
    if (rank === undefined || worker === undefined) {
      this.#stranded.push(request);
      return true;
    }
    const idle = !worker.batcher.hasWork;
    try {
      worker.batcher[how](request);
    } catch (error) {
      if (MegascaleError.isInstance(error)) return false;
      throw error;
    }
    if (idle) worker.steps.wake(nowUs);
    this.#simulation?.wake(rank, nowUs);
    return true;
  }

  #newWorker(): Worker {
    const { instance, limits, policy } = this.#run;
    const { kvPageSize = 16, maxNumBatchedTokens = 512, prefillChunkTokens = 256 } = limits;
    const batcher = new Batcher({
      policy,
      kvPageSize,
      maxNumBatchedTokens,
      positionsMax,
      prefixSharing: false,
      kvPageCount: limits.kvPages,
      microBatchCount: instance.microBatches,
      tokensPerMicroBatchMax: maxNumBatchedTokens,
      prefillChunkTokensMax: prefillChunkTokens,
      maxNumSeqs: Math.min(limits.maxNumSeqs ?? 256, maxNumBatchedTokens),
      maxQueuedRequests: limits.maxQueuedRequests ?? 10_000,
    });
    return { batcher, steps: new BatcherSteps(batcher, this, this.#zeros), lost: false };
  }
}
