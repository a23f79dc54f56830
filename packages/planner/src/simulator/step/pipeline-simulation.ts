import { createStepOrders } from '@megascale/scheduler';
import { EventHeap } from '../event-heap.js';
import { checkInstance, type SimulatedInstance } from '../simulated-instance.js';
import { AttentionSide } from './attention-side.js';
import { ExpertSide } from './expert-side.js';
import { Links } from './links.js';
import type { Timeline } from './timeline.js';
import {
  type SimulatedStep,
  type StepSource,
  type PipelineParts,
  eventKinds,
} from './pipeline-parts.js';

/**
 * The two pools of one instance, event by event: attention workers follow their steps in the
 * engine's order, frames and answers take their time on the links, expert workers serve what their
 * gather policy puts together. It decides nothing else, and knows no requests.
 */
export class PipelineSimulation<Step extends SimulatedStep = SimulatedStep> {
  nowUs = 0;
  /** Events so far. */
  events = 0;
  readonly #heap = new EventHeap();
  readonly #attention: AttentionSide;
  readonly #experts: ExpertSide;

  /** Throws ConfigError 'ERR_CONFIG_FIELD'. */
  constructor(
    instance: SimulatedInstance,
    /** [M] */
    sources: readonly StepSource<Step>[],
    options: { readonly timeline?: Timeline; readonly expertsApart?: boolean } = {},
  ) {
    checkInstance(instance);
    const parts: PipelineParts = {
      instance,
      heap: this.#heap,
      links: new Links(instance),
      orderOf: createStepOrders(instance.layers),
      timeline: options.timeline,
    };
    this.#experts = new ExpertSide(parts, options.expertsApart === true);
    // Each source only ever sees steps of its own.
    this.#attention = new AttentionSide(parts, sources, this.#experts);
  }

  /** The worker asks its source at this time, if it is parked then. */
  wake(rank: number, atUs: number): void {
    this.#heap.push(Math.max(atUs, this.nowUs), eventKinds.wake, rank);
  }

  /** Everything up to and at this time. */
  advance(untilUs: number): void {
    const heap = this.#heap;
    while (heap.nextUs <= untilUs && heap.pop()) {
      this.nowUs = heap.timeUs;
      this.events += 1;
      this.#handle(heap.kind, heap.argument);
    }
    if (untilUs !== Infinity) this.nowUs = Math.max(this.nowUs, untilUs);
  }

  /** When the next thing happens; Infinity: nothing will. */
  get nextUs(): number {
    return this.#heap.nextUs;
  }

  /** Every duration of this worker is multiplied by `factor` from now on. */
  slowDown(role: 'attention' | 'expert', rank: number, factor: number): void {
    if (role === 'attention') this.#attention.slowDown(rank, factor);
    else this.#experts.slowDown(rank, factor);
  }

  /** An attention worker is gone, with its step; `wake` is for when it is back. */
  loseAttentionWorker(rank: number): void {
    this.#attention.lose(rank, this.nowUs);
  }

  /** An expert worker computes nothing until then; what it was at is computed again. */
  loseExpertWorker(rank: number, untilUs: number): void {
    this.#experts.lose(rank, untilUs);
  }

  #handle(kind: number, argument: number): void {
    const { nowUs } = this;
    switch (kind) {
      case eventKinds.resume:
        this.#attention.resume(argument, nowUs);
        return;
      case eventKinds.frameArrives:
        this.#experts.frameArrives(argument, nowUs);
        return;
      case eventKinds.look:
        this.#experts.look(argument, nowUs);
        return;
      case eventKinds.expertDone:
        this.#experts.done(argument, nowUs, this.#attention);
        return;
      case eventKinds.answerArrives:
        this.#attention.answerArrives(argument, nowUs);
        return;
      default:
        this.#attention.wake(argument, nowUs);
    }
  }
}
