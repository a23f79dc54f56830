import { microBatchIndex } from '@megascale/core';
import { createStepOrders, followSteps, type StepFollower } from '@megascale/scheduler';

/** What the steps of one attention worker and its experts take, in microseconds. */
export interface WalkTimes {
  readonly layerCount: number;
  /** [micro-batches] T_a */
  readonly attentionUs: readonly number[];
  /** [micro-batches] T_e of each on its own, under 'lockstep'. */
  readonly expertUs: readonly number[];
  /** T_e of all of them together, under 'layer'. */
  readonly mergedExpertUs: number;
  /** [micro-batches] embedding, LM head and sampling. */
  readonly edgeUs: readonly number[];
  /** Once a step. */
  readonly stepOverheadUs: number;
  /** Before experts start, once a run of theirs; and for every micro-batch that is sent. */
  readonly handoverUs: number;
  readonly dispatchUs: number;
  readonly gather: 'layer' | 'lockstep';
  /** Steps start while the one before still samples. */
  readonly overlapSteps: boolean;
  /** A hop: latency, and how long each message keeps the link busy, [micro-batches] each. */
  readonly link: {
    readonly latencyUs: number;
    readonly rowsUs: readonly number[];
    readonly answersUs: readonly number[];
  };
}

interface WalkStep {
  readonly microBatchIndices: ReturnType<typeof microBatchIndex>[];
}

/**
 * Layers that are walked before the pipeline is taken to be in its rhythm, and steps that count
 * then.
 */
const layersBefore = 256;
const stepsCounted = 4;

/**
 * From one step's end to the next, by walking the very order of work that the engine follows under
 * a clock that computing moves on.
 */
export function walkStepUs(times: WalkTimes): number {
  const walk = new StepWalk(times);
  followSteps(walk.newStep(), walk);
  const { stepsBefore } = walk;
  const from = walk.ends[stepsBefore - 1] ?? 0;
  // The very last step has none to be joined to.
  const walkedUs = ((walk.ends[stepsBefore + stepsCounted - 1] ?? 0) - from) / stepsCounted;
  return Math.max(walkedUs, busyUs(times));
}

/**
 * How long a step keeps experts or a link busy. Where that is hardly more than attention takes,
 * they fall behind only over more layers than are walked.
 */
function busyUs(times: WalkTimes): number {
  const { layerCount, gather, expertUs, mergedExpertUs, handoverUs, link } = times;
  const expertsUs =
    gather === 'lockstep'
      ? sum(expertUs) + expertUs.length * handoverUs
      : mergedExpertUs + handoverUs;
  return layerCount * Math.max(expertsUs, sum(link.rowsUs), sum(link.answersUs));
}

class StepWalk implements StepFollower<WalkStep> {
  readonly orderOf;
  readonly overlap: boolean;
  readonly ends: number[] = [];
  readonly stepsBefore: number;
  readonly #times: WalkTimes;
  #nowUs = 0;
  #steps = 0;
  #expertsFreeUs = 0;
  /** When the link to the experts, and the one back, have carried all they were given. */
  #rowsLeftUs = 0;
  #answersLeftUs = 0;
  /** [micro-batches] when rows of the present layer arrive, and when answers do. */
  readonly #arrivals: number[] = [];
  readonly #answers: number[] = [];
  #waiting = 0;

  constructor(times: WalkTimes) {
    this.#times = times;
    this.overlap = times.overlapSteps;
    this.stepsBefore = Math.ceil(layersBefore / Math.max(1, times.layerCount));
    this.orderOf = createStepOrders(times.layerCount);
  }

  newStep(): WalkStep {
    this.#steps += 1;
    return { microBatchIndices: this.#times.attentionUs.map((_, index) => microBatchIndex(index)) };
  }

  begin(): void {
    // No other worker has to know.
  }

  startMicroBatch(): void {
    // Embedding is part of the edge.
  }

  perform(
    _: WalkStep,
    { type, microBatch }: { readonly type: string; readonly microBatch: number },
  ): void {
    const times = this.#times;
    if (type === 'attend') this.#nowUs += times.attentionUs[microBatch] ?? 0;
    if (type === 'dispatch') this.#dispatch(microBatch);
    if (type === 'combine') this.#nowUs = Math.max(this.#nowUs, this.#answers[microBatch] ?? 0);
    if (type === 'sample') this.#nowUs += times.edgeUs[microBatch] ?? 0;
  }

  endMicroBatch(): void {
    // Sampled in `perform`.
  }

  end(): void {
    this.ends.push(this.#nowUs);
  }

  next(): WalkStep | undefined {
    this.#nowUs += this.#times.stepOverheadUs;
    return this.#steps <= this.stepsBefore + stepsCounted ? this.newStep() : undefined;
  }

  #dispatch(microBatch: number): void {
    const { dispatchUs, link, gather, expertUs, mergedExpertUs, attentionUs } = this.#times;
    this.#nowUs += dispatchUs;
    this.#rowsLeftUs = Math.max(this.#nowUs, this.#rowsLeftUs) + (link.rowsUs[microBatch] ?? 0);
    this.#arrivals[microBatch] = this.#rowsLeftUs + link.latencyUs;
    if (gather === 'lockstep') {
      this.#serve([microBatch], expertUs[microBatch] ?? 0);
      return;
    }
    this.#waiting += 1;
    if (this.#waiting < attentionUs.length) return;
    this.#waiting = 0;
    this.#serve([...attentionUs.keys()], mergedExpertUs);
  }

  #serve(microBatches: readonly number[], us: number): void {
    const { link, handoverUs } = this.#times;
    const arrived = Math.max(...microBatches.map((index) => this.#arrivals[index] ?? 0));
    this.#expertsFreeUs = Math.max(this.#expertsFreeUs, arrived) + handoverUs + us;
    for (const index of microBatches) {
      this.#answersLeftUs =
        Math.max(this.#expertsFreeUs, this.#answersLeftUs) + (link.answersUs[index] ?? 0);
      this.#answers[index] = this.#answersLeftUs + link.latencyUs;
    }
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
