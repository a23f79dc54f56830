import type { MicroBatchIndex, WorkPosition } from '@megascale/core';
import { walkSteps, type StepAction } from '@megascale/scheduler';
import { expertLoad } from '../simulated-instance.js';
import type { ExpertSide } from './expert-side.js';
import {
  eventKinds,
  type PipelineParts,
  type SimulatedStep,
  type StepSource,
} from './pipeline-parts.js';
import type { SimulatedKind } from './timeline.js';

interface Worker {
  readonly rank: number;
  readonly source: StepSource;
  walk: Generator<StepAction<SimulatedStep>, void, undefined> | undefined;
  /** What it has come to; undefined where it has to take the next action. */
  doing: StepAction<SimulatedStep> | undefined;
  /** What it did until now, to be noted. */
  busy: { readonly kind: SimulatedKind; readonly sinceUs: number } | undefined;
  /** A step has begun that it has not been busy with yet. */
  plans: boolean;
  /** The micro-batch whose answers it waits for, and since when. */
  awaits: number;
  waitsSinceUs: number;
  /** By micro-batch: expert groups that still owe an answer. */
  readonly owed: Int32Array;
  /** Number of the newest step, as in its frames. */
  step: number;
  /** Until when its steps have been noted. */
  countedUs: number;
  /** Times it was lost: what is under way for an earlier life is not for this one. */
  life: number;
  factor: number;
}

/**
 * The attention workers. Each does one thing after the other, and waits for nothing but answers.
 */
export class AttentionSide {
  readonly #parts: PipelineParts;
  readonly #experts: ExpertSide;
  readonly #workers: readonly Worker[];
  /** Greatest step of any frame so far. */
  #stepSeen = 0;
  #nowUs = 0;

  constructor(parts: PipelineParts, sources: readonly StepSource[], experts: ExpertSide) {
    const { microBatches } = parts.instance;
    this.#parts = parts;
    this.#experts = experts;
    this.#workers = sources.map((source, rank) => ({
      rank,
      source,
      walk: undefined,
      doing: undefined,
      busy: undefined,
      plans: false,
      awaits: -1,
      waitsSinceUs: 0,
      owed: new Int32Array(microBatches),
      step: 0,
      countedUs: 0,
      life: 0,
      factor: 1,
    }));
  }

  slowDown(rank: number, factor: number): void {
    this.#worker(rank).factor = factor;
  }

  wake(rank: number, nowUs: number): void {
    const worker = this.#worker(rank);
    if (worker.walk !== undefined) return;
    this.#nowUs = nowUs;
    const first = worker.source.next(nowUs);
    if (first === undefined) return;
    worker.countedUs = nowUs;
    worker.step = Math.max(worker.step, this.#stepSeen);
    const { instance, orderOf } = this.#parts;
    worker.walk = walkSteps<SimulatedStep>(first, {
      orderOf,
      overlap: (instance.overlapSteps ?? true) && instance.expertWorkers > 0,
      begin: (step) => {
        this.#begin(worker, step);
      },
      startMicroBatch: (step, microBatch) => worker.source.startMicroBatch?.(step, microBatch),
      endMicroBatch: (step, microBatch) =>
        worker.source.endMicroBatch?.(step, microBatch, this.#nowUs),
      end: (step) => {
        this.#end(worker, step);
      },
      next: () => worker.source.next(this.#nowUs),
    });
    this.#goOn(worker, nowUs);
  }

  /** What it was busy with is done. */
  resume(argument: number, nowUs: number): void {
    const worker = this.#addressee(argument);
    if (worker === undefined) return;
    const { busy } = worker;
    if (busy !== undefined) this.#note(worker, busy.kind, busy.sinceUs, nowUs);
    if (busy?.kind !== 'plan') worker.doing = undefined;
    worker.busy = undefined;
    this.#goOn(worker, nowUs);
  }

  /** argument: as `answerArgument`. */
  answerArrives(argument: number, nowUs: number): void {
    const { microBatches } = this.#parts.instance;
    const microBatch = argument % microBatches;
    const worker = this.#addressee(Math.floor(argument / microBatches));
    if (worker === undefined) return;
    const left = (worker.owed[microBatch] ?? 0) - 1;
    worker.owed[microBatch] = left;
    if (left > 0 || worker.awaits !== microBatch) return;
    worker.awaits = -1;
    this.#note(worker, 'wait', worker.waitsSinceUs, nowUs);
    this.#note(worker, 'combine', nowUs, nowUs);
    worker.doing = undefined;
    this.#goOn(worker, nowUs);
  }

  /** Names an answer for this worker as it lives now. */
  answerArgument(rank: number, microBatch: number): number {
    return this.#address(this.#worker(rank)) * this.#parts.instance.microBatches + microBatch;
  }

  lose(rank: number, nowUs: number): void {
    const worker = this.#worker(rank);
    worker.walk?.return(undefined);
    Object.assign(worker, { walk: undefined, doing: undefined, busy: undefined, awaits: -1 });
    worker.owed.fill(0);
    worker.life += 1;
    this.#experts.drop(rank, nowUs);
  }

  /** Until it is busy, waits, or has nothing to do. */
  #goOn(worker: Worker, nowUs: number): void {
    this.#nowUs = nowUs;
    for (;;) {
      if (worker.doing === undefined) {
        const taken = worker.walk?.next();
        if (taken?.done !== false) {
          worker.walk = undefined;
          this.#experts.park(worker.rank, nowUs);
          return;
        }
        worker.doing = taken.value;
      }
      if (!this.#perform(worker, worker.doing, nowUs)) return;
      worker.doing = undefined;
    }
  }

  /** False where it takes time. */
  #perform(worker: Worker, { step, action }: StepAction<SimulatedStep>, nowUs: number): boolean {
    const { costs, expertWorkers } = this.#parts.instance;
    const { microBatch } = action;
    switch (action.type) {
      case 'attend': {
        // Planning and messages come before the first half-layer.
        if (worker.plans) {
          worker.plans = false;
          if (!this.#work(worker, 'plan', costs.stepOverheadUs)) return false;
        }
        const us = costs.attentionTimeUs({
          tokens: step.tokens[microBatch] ?? 0,
          keysSeen: step.keysSeen[microBatch] ?? 0,
          keysRead: step.keysRead[microBatch] ?? 0,
        });
        return this.#work(worker, 'attend', us);
      }
      case 'dispatch':
        if (expertWorkers === 0) return this.#runExperts(worker, step.tokens[microBatch] ?? 0);
        this.#note(worker, 'dispatch', nowUs, nowUs);
        this.#send(worker, step, { layer: action.layer, microBatch });
        return true;
      case 'combine':
        if ((worker.owed[microBatch] ?? 0) === 0) {
          this.#note(worker, 'combine', nowUs, nowUs);
          return true;
        }
        worker.awaits = microBatch;
        worker.waitsSinceUs = nowUs;
        return false;
      case 'sample': {
        const rows = step.outputRows[microBatch] ?? 0;
        return this.#work(worker, 'logits', rows > 0 ? costs.edgeTimeUs(rows) : 0);
      }
    }
  }

  #work(worker: Worker, kind: SimulatedKind, us: number): boolean {
    const lastsUs = us * worker.factor;
    if (lastsUs <= 0) return true;
    worker.busy = { kind, sinceUs: this.#nowUs };
    this.#parts.heap.push(this.#nowUs + lastsUs, eventKinds.resume, this.#address(worker));
    return false;
  }

  /** Colocated: all experts are here. */
  #runExperts(worker: Worker, tokens: number): boolean {
    const { instance } = this.#parts;
    const load = expertLoad({ ...instance, expertWorkers: 1, expertReplicas: 1 }, 1, tokens);
    return this.#work(worker, 'experts', instance.costs.expertTimeUs(load));
  }

  #send(
    worker: Worker,
    step: SimulatedStep,
    place: { readonly layer: number; readonly microBatch: MicroBatchIndex },
  ): void {
    const { layer, microBatch } = place;
    this.#stepSeen = Math.max(this.#stepSeen, worker.step);
    worker.owed[microBatch] = this.#experts.groupCount;
    this.#experts.send(
      { rank: worker.rank, microBatch, tokens: step.tokens[microBatch] ?? 0 },
      {
        position: { step: worker.step, layer, microBatch },
        next: this.#positionAfter(worker, step, place),
        life: worker.life,
      },
      this.#nowUs,
    );
  }

  #positionAfter(
    worker: Worker,
    { microBatchIndices }: SimulatedStep,
    { layer, microBatch }: { readonly layer: number; readonly microBatch: MicroBatchIndex },
  ): WorkPosition {
    const { step } = worker;
    const following = microBatchIndices[microBatchIndices.indexOf(microBatch) + 1];
    if (following !== undefined) return { step, layer, microBatch: following };
    if (layer + 1 === this.#parts.instance.layers) {
      return { step: step + 1, layer: 0, microBatch: 0 };
    }
    return { step, layer: layer + 1, microBatch: microBatchIndices[0] ?? 0 };
  }

  /**
   * A parked worker joins at the step after the one under way, one at work that fell behind at the
   * one under way.
   */
  #begin(worker: Worker, step: SimulatedStep): void {
    worker.step = Math.max(worker.step + 1, this.#stepSeen);
    const [microBatch = 0] = step.microBatchIndices;
    this.#experts.begin(worker.rank, { step: worker.step, layer: 0, microBatch });
    worker.plans = true;
  }

  #end(worker: Worker, step: SimulatedStep): void {
    const tokens = step.tokens.reduce((sum, count) => sum + count, 0);
    this.#parts.timeline?.note({
      role: 'attention',
      rank: worker.rank,
      kind: 'step',
      startUs: worker.countedUs,
      endUs: this.#nowUs,
      layer: -1,
      microBatch: -1,
      size: tokens,
    });
    worker.countedUs = this.#nowUs;
    worker.source.end?.(step, this.#nowUs);
  }

  #note(worker: Worker, kind: SimulatedKind, startUs: number, endUs: number): void {
    const { timeline } = this.#parts;
    const { doing, rank } = worker;
    if (timeline === undefined || doing === undefined) return;
    const { action, step } = doing;
    const { microBatch } = action;
    const layer = action.type === 'sample' ? -1 : action.layer;
    const size = (action.type === 'sample' ? step.outputRows : step.tokens)[microBatch] ?? 0;
    timeline.note({ role: 'attention', rank, kind, startUs, endUs, layer, microBatch, size });
  }

  #address({ life, rank }: Worker): number {
    return life * this.#workers.length + rank;
  }

  #addressee(address: number): Worker | undefined {
    const worker = this.#worker(address % this.#workers.length);
    return this.#address(worker) === address ? worker : undefined;
  }

  #worker(rank: number): Worker {
    const worker = this.#workers[rank];
    if (worker === undefined) throw new RangeError(`There is no attention worker ${rank}.`);
    return worker;
  }
}
