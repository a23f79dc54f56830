import type { Clock } from '@megascale/core';
import { eventKind } from './flight-recorder.js';

/**
 * Where step time went, in microseconds, summed over steps. What the parts leave of `totalUs` is
 * the driving itself.
 */
export interface StepTimes {
  totalUs: number;
  /** Inside the calls of the stage; the calls of colocated experts included. */
  computeUs: number;
  /** The part of `computeUs` that adds up expert outputs. */
  combineUs: number;
  /** The part of `computeUs` that runs colocated experts. */
  expertUs: number;
  /** Inside the `combine` of the port: the worker waits for expert outputs. */
  waitUs: number;
  /**
   * Inside `dispatch`: the port counts rows and notifies the experts. Colocated experts are not in
   * it.
   */
  dispatchUs: number;
  samplingUs: number;
  /** Calls of `attend`: layers × micro-batches. */
  halfLayers: number;
}

export function noStepTimes(): StepTimes {
  return {
    totalUs: 0,
    computeUs: 0,
    combineUs: 0,
    expertUs: 0,
    waitUs: 0,
    dispatchUs: 0,
    samplingUs: 0,
    halfLayers: 0,
  };
}

/** One step: from the end of the step before it, or from `resume`, to its own end. */
export interface StepSpan {
  readonly startUs: number;
  readonly endUs: number;
  /** What this step alone took. */
  readonly spent: Readonly<StepTimes>;
}

/** Receives every call that a step clock has timed: the flight recorder, and the pipeline timer. */
export interface CallObserver {
  /**
   * `kind` is a number of `eventKinds`; times are those of `Clock.nowUs`; `layer` and `microBatch`
   * are −1 where the call belongs to none; `size` counts tokens or rows.
   */
  note(
    kind: number,
    startUs: number,
    endUs: number,
    layer: number,
    microBatch: number,
    size: number,
  ): void;
}

/**
 * The only clock of an attention worker's steps. The driver reads it before a call and notes the
 * call after it. The clock adds the time to its sums and passes the call on to its observers.
 */
export class StepClock {
  /** The sums since the worker started. */
  readonly times = noStepTimes();
  readonly #clock: Clock;
  readonly #observers: readonly CallObserver[];
  /** The sums at the end of the last step. */
  readonly #timesBefore = noStepTimes();
  #stepStartUs = 0;
  /** Time of colocated experts inside the dispatch that is under way. */
  #expertsInDispatchUs = 0;

  constructor(clock: Clock, observers: readonly CallObserver[]) {
    this.#clock = clock;
    this.#observers = observers;
  }

  nowUs(): number {
    return this.#clock.nowUs();
  }

  /** When the step that comes next began to count. */
  get stepStartUs(): number {
    return this.#stepStartUs;
  }

  /** Notes the call that began at `startUs` and has just returned. */
  note(kind: number, startUs: number, layer: number, microBatch: number, size: number): void {
    const endUs = this.#clock.nowUs();
    this.#add(kind, endUs - startUs);
    this.#pass(kind, startUs, endUs, layer, microBatch, size);
  }

  /** Starts to count after a time without steps. */
  resume(): void {
    this.#stepStartUs = this.#clock.nowUs();
  }

  /** Ends a step of so many tokens; the next one counts from here. */
  endStep(tokens: number): StepSpan {
    const startUs = this.#stepStartUs;
    const endUs = this.#clock.nowUs();
    this.#stepStartUs = endUs;
    this.times.totalUs += endUs - startUs;
    this.#pass(eventKind.step, startUs, endUs, -1, -1, tokens);
    const spent = difference(this.times, this.#timesBefore);
    Object.assign(this.#timesBefore, this.times);
    return { startUs, endUs, spent };
  }

  #add(kind: number, us: number): void {
    const { times } = this;
    switch (kind) {
      case eventKind.attend:
        times.halfLayers += 1;
        times.computeUs += us;
        return;
      case eventKind.embed:
      case eventKind.logits:
        times.computeUs += us;
        return;
      case eventKind.combine:
        times.computeUs += us;
        times.combineUs += us;
        return;
      case eventKind.wait:
        times.waitUs += us;
        return;
      case eventKind.sample:
        times.samplingUs += us;
        return;
      case eventKind.experts:
        times.computeUs += us;
        times.expertUs += us;
        this.#expertsInDispatchUs += us;
        return;
      case eventKind.dispatch:
        times.dispatchUs += us - this.#expertsInDispatchUs;
        this.#expertsInDispatchUs = 0;
        return;
      default:
    }
  }

  #pass(
    kind: number,
    startUs: number,
    endUs: number,
    layer: number,
    microBatch: number,
    size: number,
  ): void {
    for (const observer of this.#observers) {
      observer.note(kind, startUs, endUs, layer, microBatch, size);
    }
  }
}

function difference(after: StepTimes, before: StepTimes): StepTimes {
  return {
    totalUs: after.totalUs - before.totalUs,
    computeUs: after.computeUs - before.computeUs,
    combineUs: after.combineUs - before.combineUs,
    expertUs: after.expertUs - before.expertUs,
    waitUs: after.waitUs - before.waitUs,
    dispatchUs: after.dispatchUs - before.dispatchUs,
    samplingUs: after.samplingUs - before.samplingUs,
    halfLayers: after.halfLayers - before.halfLayers,
  };
}
