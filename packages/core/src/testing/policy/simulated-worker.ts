import type {
  SchedulerPolicy,
  SchedulerView,
  ServiceView,
  StepPlan,
} from '../../spec/scheduler-policy.js';
import { sequenceId, type SequenceId } from '../../spec/units.js';
import { brokenRule } from './plan-rules.js';

type Limits = Pick<
  SchedulerView,
  'kvPageSize' | 'microBatchCount' | 'maxNumBatchedTokens' | 'maxNumSeqs' | 'prefillChunkTokensMax'
>;

/** What a simulated attention worker has, and what is asked of it. */
export interface SimulatedWork extends Limits {
  readonly kvPageCount: number;
  /** By arrival. */
  readonly arrivals: readonly {
    readonly step: number;
    readonly promptTokens: number;
    readonly outputTokens: number;
    /** Default 0. */
    readonly priority?: number;
  }[];
}

export interface SimulationResult {
  readonly finished: number;
  /** What went wrong, as a sentence: a rule broken, or the sequence that waited too long. */
  readonly trouble?: string;
}

interface SimulatedSequence {
  readonly id: SequenceId;
  readonly arrivedAtStep: number;
  /** Steps it takes with the worker to itself. */
  readonly stepsAlone: number;
  readonly deadlineStep: number;
  /** Prompt, and output so far. */
  knownTokens: number;
  readonly knownTokensAtEnd: number;
  readonly promptTokens: number;
  readonly priority: number;
  contextTokens: number;
  kvPages: number;
  preemptions: number;
}

/**
 * A sequence must finish in this many times the steps that serving it and all before it one by one
 * would take …
 */
const patience = 4;
/** … and this many more. */
const patienceSteps = 50;

/**
 * Follows a policy's plans, counting tokens and pages and computing nothing, until all work is done
 * or a sequence waited too long: later arrivals may overtake it, but not for ever.
 */
export function simulateWorker(policy: SchedulerPolicy, work: SimulatedWork): SimulationResult {
  const worker = new SimulatedWorker(work);
  for (let step = 0; worker.unfinished > 0; step += 1) {
    worker.arrive(step);
    const late = worker.late(step);
    if (late !== undefined) {
      const trouble = `sequence ${late.id} came at step ${late.arrivedAtStep} and is not finished at step ${step}`;
      return { finished: worker.finished, trouble };
    }
    const view = worker.view(step);
    const plan = policy.plan(view);
    const broken = brokenRule(view, plan);
    if (broken !== undefined) {
      return { finished: worker.finished, trouble: `step ${step}: ${broken}` };
    }
    worker.follow(plan);
  }
  return { finished: worker.finished };
}

function stepsAlone(arrival: SimulatedWork['arrivals'][number], work: Limits): number {
  return Math.ceil(arrival.promptTokens / work.prefillChunkTokensMax) + arrival.outputTokens;
}

function serviceOf(sequence: SimulatedSequence): ServiceView {
  const { id, contextTokens, kvPages, knownTokens, promptTokens, preemptions } = sequence;
  return {
    id,
    contextTokens,
    kvPages,
    preemptions,
    priority: sequence.priority,
    tenant: `tenant ${id % 3}`,
    arrivedAtMs: sequence.arrivedAtStep * 10,
    outputTokens: knownTokens - promptTokens,
    tokensLeft: knownTokens - contextTokens,
  };
}

class SimulatedWorker {
  finished = 0;
  readonly #work: SimulatedWork;
  #waiting: SimulatedSequence[] = [];
  #running: SimulatedSequence[] = [];
  #arrived = 0;

  constructor(work: SimulatedWork) {
    this.#work = work;
  }

  get unfinished(): number {
    return this.#work.arrivals.length - this.finished;
  }

  arrive(step: number): void {
    for (const arrival of this.#work.arrivals.slice(this.#arrived)) {
      if (arrival.step > step) return;
      this.#arrived += 1;
      const alone = stepsAlone(arrival, this.#work);
      const before = this.#unfinished().reduce((steps, other) => steps + other.stepsAlone, alone);
      this.#waiting.push({
        id: sequenceId(this.#arrived),
        arrivedAtStep: step,
        stepsAlone: alone,
        deadlineStep: step + patience * before + patienceSteps,
        knownTokens: arrival.promptTokens,
        // The last token is sampled and never computed.
        knownTokensAtEnd: arrival.promptTokens + arrival.outputTokens,
        promptTokens: arrival.promptTokens,
        priority: arrival.priority ?? 0,
        contextTokens: 0,
        kvPages: 0,
        preemptions: 0,
      });
    }
  }

  /** A sequence past its deadline. */
  late(step: number): SimulatedSequence | undefined {
    return this.#unfinished().find(({ deadlineStep }) => step > deadlineStep);
  }

  view(step: number): SchedulerView {
    const { kvPageCount, kvPageSize, microBatchCount, maxNumBatchedTokens } = this.#work;
    const { maxNumSeqs, prefillChunkTokensMax } = this.#work;
    const taken = this.#running.reduce((pages, { kvPages }) => pages + kvPages, 0);
    return {
      nowMs: step * 10,
      waiting: this.#waiting.map(serviceOf),
      running: this.#running.map((sequence) => ({
        ...serviceOf(sequence),
        kvPagesFreed: sequence.kvPages,
      })),
      kvPagesFree: kvPageCount - taken,
      kvPageSize,
      microBatchCount,
      maxNumBatchedTokens,
      maxNumSeqs,
      prefillChunkTokensMax,
    };
  }

  follow(plan: StepPlan): void {
    const preempted = this.#running.filter(({ id }) => plan.preempt.includes(id));
    for (const sequence of preempted) {
      sequence.contextTokens = 0;
      sequence.kvPages = 0;
      sequence.preemptions += 1;
    }
    this.#running = this.#running.filter((sequence) => !preempted.includes(sequence));
    const planned = new Map(plan.run.map(({ id, tokens }) => [id, tokens]));
    this.#running.push(...this.#waiting.filter(({ id }) => planned.has(id)));
    this.#waiting = [...preempted, ...this.#waiting.filter(({ id }) => !planned.has(id))];
    for (const sequence of this.#running) this.#compute(sequence, planned.get(sequence.id) ?? 0);
    const going = this.#running.filter(({ knownTokens, knownTokensAtEnd }) => {
      return knownTokens < knownTokensAtEnd;
    });
    this.finished += this.#running.length - going.length;
    this.#running = going;
  }

  #unfinished(): readonly SimulatedSequence[] {
    return [...this.#running, ...this.#waiting];
  }

  /** Its last known token computed, a sequence has sampled the next. */
  #compute(sequence: SimulatedSequence, tokens: number): void {
    sequence.contextTokens += tokens;
    const pages = Math.ceil(sequence.contextTokens / this.#work.kvPageSize);
    sequence.kvPages = Math.max(sequence.kvPages, pages);
    if (sequence.contextTokens === sequence.knownTokens) sequence.knownTokens += 1;
  }
}
