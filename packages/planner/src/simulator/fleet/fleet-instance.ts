import type { FleetMetrics } from './fleet-metrics.js';
import type { StepTable } from './step-table.js';
import { WaitingRing } from './waiting-ring.js';

const firstRoom = 16;

/**
 * One instance of a fleet, between events instead of token by token. Every running sequence moves
 * by one step per step, so one number, the steps so far, stands for all: a sequence is prefilled
 * when it has reached one such number and has ended at another. Between events, a step's length is
 * that of the step table and grows with the context, so that time is a quadratic function of steps.
 *
 * Differs from the detailed simulator in this: workers of the instance are equally loaded, KV room
 * for the whole answer is taken at the start (so nothing is preempted), and a request's prefill
 * begins at the next whole step.
 */
export class FleetInstance {
  /** Until when its sequences have been moved; ahead of everybody else's time while it is down. */
  nowS = 0;
  /** When something happens to it next, if no request comes. */
  #nextS = Infinity;
  /** Durations are multiplied by it. */
  #slowness = 1;
  #steps = 0;
  /** Of the step table, for the sequences that it has. */
  #fixedUs = 0;
  #keyUs = 0;
  #decodes = 0;
  #prefills = 0;
  /** Keys that the decoding sequences see in the next step. */
  #keys = 0;
  #kvTaken = 0;
  /** Of the running ones: [room] the step at which something happens to it, a heap by that. */
  #count = 0;
  #due = new Float64Array(firstRoom);
  #slots = new Int32Array(firstRoom);
  /** By slot. */
  #arrivedS = new Float64Array(firstRoom);
  /** −1: being prefilled. */
  #firstS = new Float64Array(firstRoom);
  #prompts = new Int32Array(firstRoom);
  #outputs = new Int32Array(firstRoom);
  #freeSlots: number[] = Array.from({ length: firstRoom }, (_, slot) => slot);
  readonly #waiting = new WaitingRing();

  readonly #table: StepTable;
  readonly #maxQueuedRequests: number;
  readonly #metrics: FleetMetrics;

  constructor(table: StepTable, maxQueuedRequests: number, metrics: FleetMetrics) {
    this.#table = table;
    this.#maxQueuedRequests = maxQueuedRequests;
    this.#metrics = metrics;
  }

  /** Sequences that it has, waiting ones included. */
  get load(): number {
    return this.#count + this.#waiting.count;
  }

  get running(): number {
    return this.#count;
  }

  get waiting(): number {
    return this.#waiting.count;
  }

  get slowness(): number {
    return this.#slowness;
  }

  /** Everything that happens up to this time, so that its counts are right. */
  settle(untilS: number): void {
    while (this.#nextS <= untilS) {
      this.#move((this.#due[0] ?? 0) - this.#steps, this.#nextS - this.nowS);
      this.nowS = this.#nextS;
      this.#steps = this.#due[0] ?? 0;
      this.#happen();
      this.#look();
    }
  }

  /** The same, and what has been done of the steps under way. */
  advance(untilS: number): void {
    this.settle(untilS);
    if (this.nowS >= untilS) return;
    if (this.#count > 0) this.#move(this.#stepsIn(untilS - this.nowS), untilS - this.nowS);
    this.nowS = untilS;
  }

  /** From now on, steps take so many times as long as by the table. */
  slowDown(atS: number, factor: number): void {
    this.advance(atS);
    this.#slowness = factor;
    this.#look();
  }

  /** A request comes now. */
  arrive(arrivedS: number, prompt: number, output: number): void {
    this.advance(arrivedS);
    this.#metrics.events += 1;
    if (this.#waiting.count === 0 && this.#fits(prompt, output)) {
      this.#start(arrivedS, prompt, output);
      this.#look();
    } else if (
      this.#waiting.count < this.#maxQueuedRequests &&
      prompt + output <= this.#table.kvTokens
    ) {
      this.#waiting.push(arrivedS, prompt, output);
    } else {
      this.#metrics.refused += 1;
    }
  }

  /**
   * A worker is lost: nothing moves until it is replaced and everybody's context is computed again.
   */
  fail(atS: number, recoveryS: number): void {
    this.advance(atS);
    // One that is down already does not fail again.
    if (this.nowS > atS) return;
    const { prefillsMax, prefillChunkTokens, decodesMax, fixedUs } = this.#table;
    const tokens = this.#keys;
    const stepUs = fixedUs[prefillsMax * (decodesMax + 1)] ?? 0;
    const again = (tokens / (prefillsMax * prefillChunkTokens)) * stepUs * 1e-6 * this.#slowness;
    this.#metrics.failures += 1;
    this.#metrics.events += 1;
    this.#metrics.recomputedTokens += tokens;
    this.#metrics.downS += recoveryS + again;
    this.nowS += recoveryS + again;
    this.#look();
  }

  /** Seconds of so many steps from now. */
  #stepsTakeS(steps: number): number {
    const keyUs = this.#keyUs;
    const stepUs = this.#fixedUs + keyUs * this.#keys;
    return (stepUs * steps + (keyUs * this.#decodes * steps * steps) / 2) * 1e-6 * this.#slowness;
  }

  /** The inverse: steps that so many seconds have room for. */
  #stepsIn(seconds: number): number {
    const us = (seconds * 1e6) / this.#slowness;
    const stepUs = this.#fixedUs + this.#keyUs * this.#keys;
    const growth = this.#keyUs * this.#decodes;
    // us = stepUs x + growth x² / 2, without cancellation.
    return (2 * us) / (stepUs + Math.sqrt(stepUs * stepUs + 2 * growth * us));
  }

  /**
   * How long its steps take from now on, and when the first of its sequences has got where
   * something happens.
   */
  #look(): void {
    const at = this.#prefills * (this.#table.decodesMax + 1) + this.#decodes;
    this.#fixedUs = this.#table.fixedUs[at] ?? 0;
    this.#keyUs = this.#table.keyUs[at] ?? 0;
    this.#nextS =
      this.#count === 0
        ? Infinity
        : this.nowS + this.#stepsTakeS((this.#due[0] ?? 0) - this.#steps);
  }

  #move(steps: number, seconds: number): void {
    this.#steps += steps;
    this.#keys += this.#decodes * steps;
    this.#metrics.outputTokens += this.#decodes * steps;
    this.#metrics.busyS += seconds;
  }

  /** What is due for the first of the heap. */
  #happen(): void {
    const slot = this.#slots[0] ?? 0;
    const prompt = this.#prompts[slot] ?? 0;
    const output = this.#outputs[slot] ?? 0;
    const firstS = this.#firstS[slot] ?? 0;
    this.#metrics.events += 1;
    if (firstS < 0) {
      this.#prefills -= 1;
      this.#metrics.outputTokens += 1;
      this.#metrics.ttftMs.add((this.nowS - (this.#arrivedS[slot] ?? 0)) * 1000);
      if (output > 1) {
        this.#firstS[slot] = this.nowS;
        this.#decodes += 1;
        this.#keys += prompt + 1;
        this.#sink(this.#steps + output - 1, slot, this.#count);
        this.#startWaiting();
        return;
      }
    } else {
      this.#decodes -= 1;
      this.#keys -= prompt + output;
      this.#metrics.tpotMs.add(((this.nowS - firstS) * 1000) / (output - 1));
    }
    this.#metrics.finished += 1;
    this.#kvTaken -= prompt + output;
    this.#freeSlots.push(slot);
    this.#count -= 1;
    // Rounding must not add up over a day.
    if (this.#decodes === 0) this.#keys = 0;
    if (this.#count > 0) {
      this.#sink(this.#due[this.#count] ?? 0, this.#slots[this.#count] ?? 0, this.#count);
    } else {
      this.#steps = 0;
    }
    this.#startWaiting();
  }

  #startWaiting(): void {
    const waiting = this.#waiting;
    while (waiting.count > 0) {
      const { arrivedS, prompt, output } = waiting;
      if (!this.#fits(prompt, output)) return;
      waiting.shift();
      this.#start(arrivedS, prompt, output);
    }
  }

  #fits(prompt: number, output: number): boolean {
    const { prefillsMax, decodesMax, kvTokens } = this.#table;
    return (
      this.#prefills < prefillsMax &&
      this.#count < decodesMax &&
      this.#kvTaken + prompt + output <= kvTokens
    );
  }

  #start(arrivedS: number, prompt: number, output: number): void {
    if (this.#freeSlots.length === 0) this.#grow();
    const slot = this.#freeSlots.pop() ?? 0;
    this.#arrivedS[slot] = arrivedS;
    this.#firstS[slot] = -1;
    this.#prompts[slot] = prompt;
    this.#outputs[slot] = output;
    this.#prefills += 1;
    this.#kvTaken += prompt + output;
    const due = Math.ceil(this.#steps - 1e-6) + Math.ceil(prompt / this.#table.prefillChunkTokens);
    this.#rise(due, slot);
  }

  /** Adds to the heap. */
  #rise(due: number, slot: number): void {
    let at = this.#count;
    this.#count += 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const parentDue = this.#due[parent] ?? 0;
      if (parentDue <= due) break;
      this.#due[at] = parentDue;
      this.#slots[at] = this.#slots[parent] ?? 0;
      at = parent;
    }
    this.#due[at] = due;
    this.#slots[at] = slot;
  }

  /** Puts this one in the first one's place, and where it belongs. */
  #sink(due: number, slot: number, count: number): void {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= count) break;
      let childDue = this.#due[child] ?? 0;
      const other = child + 1 < count ? (this.#due[child + 1] ?? 0) : Infinity;
      if (other < childDue) {
        child += 1;
        childDue = other;
      }
      if (childDue >= due) break;
      this.#due[at] = childDue;
      this.#slots[at] = this.#slots[child] ?? 0;
      at = child;
    }
    this.#due[at] = due;
    this.#slots[at] = slot;
  }

  #grow(): void {
    const room = this.#due.length;
    const floats = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const larger = new Float64Array(2 * room);
      larger.set(old);
      return larger;
    };
    const whole = (old: Int32Array): Int32Array<ArrayBuffer> => {
      const larger = new Int32Array(2 * room);
      larger.set(old);
      return larger;
    };
    this.#due = floats(this.#due);
    this.#slots = whole(this.#slots);
    this.#arrivedS = floats(this.#arrivedS);
    this.#firstS = floats(this.#firstS);
    this.#prompts = whole(this.#prompts);
    this.#outputs = whole(this.#outputs);
    for (let slot = 2 * room - 1; slot >= room; slot -= 1) this.#freeSlots.push(slot);
  }
}
