import { layerPlacement, type Placement } from '../../routing/local-experts.js';
import { ReplicaBalancer } from '../../routing/replica-balancer.js';
import type { AttentionPort, DispatchTicket, PlacementEpoch } from '../../spec/transport.js';
import { layerIndex, microBatchIndex } from '../../spec/units.js';
import { SeededRandom } from '../seeded-random.js';
import { blockFor, expertAnswer, floats, integers, rowValue, untouched } from './transport-rows.js';
import type { AttentionAction, ParticipantPlan } from './transport-script.js';

/** [tokens, topK] */
interface SentRoutes {
  readonly expertIds: Int32Array;
  readonly weights: Float32Array;
}

const noExpertChance = 0.15;
const emptyMicroBatchChance = 0.15;

/**
 * Plays an attention worker: random hidden states and routes instead of a model, and checks every
 * answer.
 */
export class AttentionActor {
  readonly trouble: string[] = [];
  /** [expert ranks] */
  readonly rows: number[];
  readonly #random: SeededRandom;
  /** The last ticket of each micro-batch, and the micro-batches whose ticket was not released. */
  readonly #tickets = new Map<number, DispatchTicket>();
  readonly #inFlight = new Set<number>();
  readonly #hidden: readonly Float32Array[];
  readonly #expertIds: readonly Int32Array[];
  readonly #weights: readonly Float32Array[];
  readonly #answers: readonly Float32Array[];
  /** The routes of each micro-batch as they were dispatched. */
  readonly #sent = new Map<number, SentRoutes>();
  /** [layers] */
  #balancers: readonly ReplicaBalancer[];
  /** Of a placement that the next step changes to. */
  #adopted: readonly ReplicaBalancer[] | undefined;
  #step = 0;

  readonly #port: AttentionPort;
  readonly #plan: ParticipantPlan;

  constructor(port: AttentionPort, plan: ParticipantPlan) {
    this.#port = port;
    this.#plan = plan;

    this.#random = new SeededRandom(plan.seed);
    const { placement, expertWorkerCount } = plan.options;
    this.rows = Array<number>(expertWorkerCount).fill(0);
    this.#balancers = this.#balancersOf(placement);
    this.#hidden = port.slots.map(({ hidden }) => floats(hidden.bytes));
    this.#expertIds = port.slots.map(({ expertIds }) => integers(expertIds.bytes));
    this.#weights = port.slots.map(({ weights }) => floats(weights.bytes));
    this.#answers = port.slots.map(({ answers }) => floats(answers.bytes));
  }

  act(action: AttentionAction): void {
    switch (action.type) {
      case 'park':
        this.#port.park();
        return;
      case 'close':
        this.#port.close();
        return;
      case 'begin-step':
        this.#beginStep(action.microBatches);
        return;
      case 'adopt':
        this.#adopt(action);
        return;
      case 'dispatch':
        this.#dispatch(action.layer, action.microBatch, action.tokens, action.experts);
        return;
      case 'combine':
        this.#combine(action.microBatch);
        return;
      case 'release':
        this.#release(action.microBatch);
        return;
      case 'step':
        this.#runStep(action.tokens, action.experts);
        return;
      case 'random-steps':
        this.#randomSteps(action);
        return;
      default:
        throw new Error(`An attention worker cannot ${action.type}.`);
    }
  }

  #adopt({ epoch, placement }: PlacementEpoch): void {
    this.#port.adoptPlacement({ epoch, placement });
    this.#adopted = this.#balancersOf(placement);
  }

  #balancersOf(placement: Placement): readonly ReplicaBalancer[] {
    const { expertWorkerCount, splitRowsMin, layerCount } = this.#plan.options;
    return Array.from(
      { length: layerCount },
      (_, layer) =>
        new ReplicaBalancer(layerPlacement(placement, layer), expertWorkerCount, splitRowsMin),
    );
  }

  #beginStep(microBatches: readonly number[]): void {
    this.#step++;
    this.#port.beginStep(microBatches.map(microBatchIndex));
    this.#balancers = this.#adopted ?? this.#balancers;
    this.#adopted = undefined;
  }

  #randomSteps(action: Extract<AttentionAction, { readonly type: 'random-steps' }>): void {
    const { count, placements = [] } = action;
    const steps = placements.map(() => this.#random.integer(0, count - 1)).sort((a, b) => a - b);
    for (let step = 0; step < count; step++) {
      for (const [index, placement] of placements.entries()) {
        if (steps[index] === step) this.#adopt(placement);
      }
      this.#randomStep(action);
    }
  }

  #runStep(tokens: readonly (number | undefined)[], experts?: readonly number[]): void {
    const microBatches = tokens.flatMap((count, index) => (count === undefined ? [] : [index]));
    this.#beginStep(microBatches);
    for (let layer = 0; layer < this.#plan.options.layerCount; layer++) {
      for (const microBatch of microBatches) {
        if (layer > 0) this.#finish(microBatch);
        this.#dispatch(layer, microBatch, tokens[microBatch] ?? 0, experts);
      }
    }
    for (const microBatch of microBatches) this.#finish(microBatch);
  }

  #randomStep(action: { readonly parkChance: number; readonly pauseMsMax: number }): void {
    const { slotCount, tokensPerSlotMax } = this.#plan.options;
    if (this.#random.fraction() < action.parkChance) this.#port.park();
    blockFor(this.#random.integer(0, action.pauseMsMax));
    const tokens = Array.from({ length: slotCount }, (): number | undefined => {
      if (this.#random.fraction() < emptyMicroBatchChance) return undefined;
      return this.#random.integer(0, tokensPerSlotMax);
    });
    if (!tokens.some((count) => count !== undefined)) tokens[0] = 0;
    this.#runStep(tokens);
  }

  #finish(microBatch: number): void {
    this.#combine(microBatch);
    this.#release(microBatch);
  }

  #release(microBatch: number): void {
    this.#port.release(this.#ticket(microBatch));
    this.#inFlight.delete(microBatch);
  }

  #dispatch(layer: number, microBatch: number, tokens: number, experts?: readonly number[]) {
    const { tokensPerSlotMax, topK } = this.#plan.options;
    // A slot in flight is not the test's to write; an overlong dispatch has no memory to write to.
    if (!this.#inFlight.has(microBatch) && tokens <= tokensPerSlotMax) {
      for (let token = 0; token < tokens; token++)
        this.#fillToken(layer, microBatch, token, experts);
    }
    const ticket = this.#port.dispatch(layerIndex(layer), microBatchIndex(microBatch), tokens);
    this.#tickets.set(microBatch, ticket);
    this.#inFlight.add(microBatch);
    const ids = this.#expertIds[microBatch]?.subarray(0, tokens * topK) ?? new Int32Array(0);
    const balancer = this.#balancers[layer];
    balancer?.balance(ids, ids.length);
    this.#sent.set(microBatch, {
      expertIds: ids.slice(),
      weights: this.#weights[microBatch]?.slice(0, ids.length) ?? new Float32Array(0),
    });
    for (const id of ids) {
      const rank = balancer?.take(id);
      if (rank !== undefined) this.rows[rank] = (this.rows[rank] ?? 0) + 1;
    }
  }

  #fillToken(layer: number, microBatch: number, token: number, experts?: readonly number[]) {
    const { hiddenSize, topK, placement } = this.#plan.options;
    const value = rowValue(this.#origin(layer, microBatch, token));
    const hidden = this.#hidden[microBatch]?.subarray(token * hiddenSize, (token + 1) * hiddenSize);
    hidden?.forEach((_, index) => (hidden[index] = value + index));
    const choice = this.#random.shuffle(experts ?? [...layerPlacement(placement, layer).keys()]);
    const ids = this.#expertIds[microBatch]?.subarray(token * topK, (token + 1) * topK);
    ids?.forEach((_, k) => {
      const none = experts === undefined && this.#random.fraction() < noExpertChance;
      ids[k] = none ? -1 : (choice[k] ?? -1);
      // Whole numbers, so that every sum of answers is exact, in any order.
      const weights = this.#weights[microBatch];
      if (weights !== undefined) weights[token * topK + k] = this.#random.integer(1, 3);
    });
    const rowStart = token * topK * hiddenSize;
    this.#answers[microBatch]?.fill(untouched, rowStart, rowStart + topK * hiddenSize);
  }

  #combine(microBatch: number): void {
    const ticket = this.#ticket(microBatch);
    this.#port.combine(ticket);
    const summed = this.#plan.options.combine === 'expert';
    for (let token = 0; token < ticket.tokens; token++) {
      if (summed) this.#checkSum(ticket, token);
      else this.#checkToken(ticket, token);
    }
  }

  #checkToken(ticket: DispatchTicket, token: number): void {
    const { hiddenSize, topK } = this.#plan.options;
    const { layer, microBatch } = ticket;
    const value = rowValue(this.#origin(layer, microBatch, token));
    for (let k = 0; k < topK; k++) {
      const row = token * topK + k;
      const id = this.#expertIds[microBatch]?.[row] ?? -1;
      for (let index = 0; index < hiddenSize; index++) {
        const expected = id < 0 ? untouched : expertAnswer(value + index, id, layer);
        const found = this.#answers[microBatch]?.[row * hiddenSize + index];
        if (found === expected) continue;
        this.trouble.push(
          `layer ${layer}, micro-batch ${microBatch}, token ${token}, k ${k}: ` +
            `answer ${String(found)} instead of ${expected} of expert ${id}`,
        );
        return;
      }
    }
  }

  /** What a backend's combine makes of the slot is what it would have made of all answers. */
  #checkSum({ layer, microBatch }: DispatchTicket, token: number): void {
    const { hiddenSize, topK } = this.#plan.options;
    const value = rowValue(this.#origin(layer, microBatch, token));
    const sent = this.#sent.get(microBatch);
    for (let index = 0; index < hiddenSize; index++) {
      let expected = 0;
      let found = 0;
      for (let row = token * topK; row < (token + 1) * topK; row++) {
        const id = sent?.expertIds[row] ?? -1;
        const answer = expertAnswer(value + index, id, layer);
        if (id >= 0) expected += (sent?.weights[row] ?? 0) * answer;
        if ((this.#expertIds[microBatch]?.[row] ?? -1) < 0) continue;
        const weight = this.#weights[microBatch]?.[row] ?? 0;
        found += weight * (this.#answers[microBatch]?.[row * hiddenSize + index] ?? 0);
      }
      if (found === expected) continue;
      this.trouble.push(
        `layer ${layer}, micro-batch ${microBatch}, token ${token}: the sum is ${found} ` +
          `instead of ${expected}`,
      );
      return;
    }
  }

  #ticket(microBatch: number): DispatchTicket {
    const ticket = this.#tickets.get(microBatch);
    if (ticket === undefined) throw new Error(`Micro-batch ${microBatch} was never dispatched.`);
    return ticket;
  }

  #origin(layer: number, microBatch: number, token: number) {
    return { attentionRank: this.#plan.rank, step: this.#step, layer, microBatch, token };
  }
}
