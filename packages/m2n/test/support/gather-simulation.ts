import { compareLayers, comparePositions, type MicroBatchIndex } from '@megascale/core';
import { SeededRandom } from '@megascale/core/testing';
import { createFrame, type Frame, type Position } from '../../src/protocol/frame.js';
import { Gather, type HeldFrame } from '../../src/expert/gather.js';
import { StepCursor } from '../../src/attention/step-cursor.js';

export interface SimulationOptions {
  readonly attentionWorkerCount: number;
  readonly expertWorkerCount: number;
  readonly slotCount: number;
  readonly layerCount: number;
  readonly steps: number;
  readonly parkChance: number;
  /** That an expert rank gets no rows of a frame. */
  readonly emptyChance: number;
  readonly policy: ConstructorParameters<typeof Gather>[0]['policy'];
  readonly seed: number;
}

export interface SimulationResult {
  /** Undefined when everything ended; else who was left waiting for whom. */
  readonly stuck: string | undefined;
  /** Promises broken, in words. */
  readonly trouble: readonly string[];
  readonly framesWithRows: number;
  readonly serves: number;
}

/**
 * Work of one attention rank as it happens: undefined = ready to go on, else what it is blocked by.
 */
type Blocker = (() => boolean) | undefined;

/**
 * Attention and expert ranks without memory, threads or time: every turn one rank that can do
 * something, chosen at random, does it. Frames take their time on the way. A rank that can do
 * nothing is blocked; when all are, the protocol is stuck.
 */
export class GatherSimulation {
  readonly trouble: string[] = [];
  readonly random: SeededRandom;
  readonly experts: readonly SimulatedExpert[];
  framesWithRows = 0;
  serves = 0;

  constructor(readonly options: SimulationOptions) {
    this.random = new SeededRandom(options.seed);
    this.experts = Array.from(
      { length: options.expertWorkerCount },
      (_, rank) => new SimulatedExpert(rank, this),
    );
  }

  run(): SimulationResult {
    const ranks = Array.from({ length: this.options.attentionWorkerCount }, (_, rank) => ({
      rank,
      work: attentionWork(rank, this),
      blocker: undefined as Blocker,
      ended: false,
    }));
    let nowUs = 0;
    for (;;) {
      const turns: (() => void)[] = [];
      for (const rank of ranks) {
        if (rank.ended || rank.blocker?.() === true) continue;
        turns.push(() => {
          const { done, value } = rank.work.next();
          rank.ended = done === true;
          rank.blocker = value as Blocker;
        });
      }
      // With the window policy time alone lets an expert go on, so it may always try.
      for (const expert of this.experts) turns.push(...expert.turns(nowUs));
      if (turns.length === 0) {
        if (ranks.every(({ ended }) => ended)) break;
        return this.#result(this.#describe(ranks.filter(({ ended }) => !ended).map((r) => r.rank)));
      }
      nowUs += this.random.integer(0, 30);
      this.random.shuffle(turns)[0]?.();
    }
    return this.#result(undefined);
  }

  #result(stuck: string | undefined): SimulationResult {
    const { trouble, framesWithRows, serves } = this;
    return { stuck, trouble, framesWithRows, serves };
  }

  #describe(ranks: readonly number[]): string {
    const waits = this.experts.map(
      ({ gather }, rank) => `expert rank ${rank} waits for ${gather.waitsForRank}`,
    );
    return `attention ranks ${ranks.join(', ')} are blocked; ${waits.join('; ')}`;
  }
}

class SimulatedExpert {
  readonly gather: Gather;
  /** [attention ranks] frames on their way. */
  readonly arriving: Frame[][];
  readonly answered = new Set<string>();
  #computing: HeldFrame[] = [];

  readonly #simulation: GatherSimulation;

  constructor(
    readonly rank: number,
    simulation: GatherSimulation,
  ) {
    this.#simulation = simulation;
    this.gather = new Gather(simulation.options);
    this.arriving = Array.from({ length: simulation.options.attentionWorkerCount }, () => []);
  }

  turns(nowUs: number): (() => void)[] {
    if (this.#computing.length > 0) return [this.#reply.bind(this)];
    const turns: (() => void)[] = [];
    for (const [rank, frames] of this.arriving.entries()) {
      const [frame] = frames;
      if (frame === undefined) continue;
      turns.push(() => {
        frames.shift();
        if (!this.gather.arrive(rank, frame, nowUs)) {
          this.#simulation.trouble.push(`expert ${this.rank} refused a frame of ${rank}`);
        }
      });
    }
    const decision = this.gather.decide(nowUs);
    if (decision === 'serve') this.#take();
    // Time goes by only in turns: a turn that does nothing else.
    if (decision === 'wait' && this.gather.waitsUntilUs < Infinity) turns.push(() => undefined);
    return this.#computing.length > 0 ? [this.#reply.bind(this)] : turns;
  }

  #take(): void {
    const simulation = this.#simulation;
    const { gather } = this;
    this.#computing = gather.served.slice(0, gather.servedCount).map((frame) => ({ ...frame }));
    simulation.serves++;
    const [first] = this.#computing;
    for (const frame of this.#computing) {
      if (first === undefined || belongTogether(simulation.options.policy, frame, first)) continue;
      simulation.trouble.push('frames of different places were served together');
    }
  }

  #reply(): void {
    for (const frame of this.#computing) {
      const name = frameName(frame.attentionRank, frame);
      if (this.answered.has(name)) this.#simulation.trouble.push(`${name} was served twice`);
      this.answered.add(name);
    }
    this.#computing = [];
  }
}

function belongTogether(policy: SimulationOptions['policy'], a: Position, b: Position): boolean {
  if (policy.type === 'lockstep') return comparePositions(a, b) === 0;
  return policy.type === 'layer' ? compareLayers(a, b) === 0 : a.layer === b.layer;
}

/** What an attention worker does, one yield per turn; it yields what blocks the next. */
function* attentionWork(rank: number, simulation: GatherSimulation): Generator<Blocker, void> {
  const { options, random, experts } = simulation;
  const cursor = new StepCursor(options.layerCount, options.slotCount);
  let parked = true;
  for (let step = 0; step < options.steps; step++) {
    if (random.fraction() < options.parkChance && !parked) {
      for (const expert of experts) expert.arriving[rank]?.push({ ...createFrame(), type: 'park' });
      parked = true;
      yield undefined;
    }
    const seen = Math.max(...experts.map(({ gather }) => gather.stepSeen));
    const own = cursor.position.step;
    const next = parked ? Math.max(own, seen) + 1 : Math.max(own + 1, seen);
    parked = false;
    const microBatches = randomMicroBatches(random, options.slotCount);
    cursor.begin(next, microBatches);
    const waits = new Map<number, () => boolean>();
    while (!cursor.ended) {
      const { microBatch } = cursor.position;
      const blocked = waits.get(microBatch);
      if (blocked !== undefined) yield blocked;
      waits.set(microBatch, dispatch(rank, cursor, simulation));
      cursor.advance();
      yield undefined;
    }
    for (const blocked of waits.values()) yield blocked;
  }
  for (const { gather } of experts) gather.close(rank);
}

/**
 * Sends the frame at the cursor to all experts; the result says whether an answer is still missing.
 */
function dispatch(rank: number, cursor: StepCursor, simulation: GatherSimulation): () => boolean {
  const { options, random, experts } = simulation;
  const place: Position = { ...cursor.position };
  const owing: SimulatedExpert[] = [];
  for (const expert of experts) {
    const frame = { ...createFrame(), ...place, tokens: 1 };
    cursor.peekNext(frame.next);
    frame.rowCount = random.fraction() < options.emptyChance ? 0 : 1;
    expert.arriving[rank]?.push(frame);
    if (frame.rowCount === 0) continue;
    simulation.framesWithRows++;
    owing.push(expert);
  }
  const name = frameName(rank, place);
  return () => owing.some(({ answered }) => !answered.has(name));
}

function randomMicroBatches(random: SeededRandom, slotCount: number): MicroBatchIndex[] {
  const all = Array.from({ length: slotCount }, (_, index) => index as MicroBatchIndex);
  const some = all.filter(() => random.fraction() < 0.7);
  return some.length > 0 ? some : all.slice(0, 1);
}

function frameName(rank: number, { step, layer, microBatch }: Position): string {
  return `frame ${rank}/${step}/${layer}/${microBatch}`;
}
