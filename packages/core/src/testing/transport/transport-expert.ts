import { layerPlacement, residentExperts, residentTable } from '../../routing/local-experts.js';
import type { ExpertInput } from '../../spec/backend.js';
import type { ExpertPort, PlacementEpoch } from '../../spec/transport.js';
import { expertRank } from '../../spec/units.js';
import { blockFor, expertAnswer, floats } from './transport-rows.js';
import type { ExpertAction, ParticipantPlan } from './transport-script.js';

/** Plays an expert worker: a formula instead of a grouped GEMM, and checks every input. */
export class ExpertActor {
  readonly trouble: string[] = [];
  /** [expert ranks] */
  readonly rows: number[];
  inputs = 0;
  merged = 0;
  /** [layers][expertCount] of every placement so far. */
  readonly #residents: readonly Uint8Array[];
  readonly #slots: readonly { hidden: Float32Array; answers: Float32Array }[];
  #input: ExpertInput | undefined;

  readonly #port: ExpertPort;
  readonly #plan: ParticipantPlan;

  constructor(port: ExpertPort, plan: ParticipantPlan) {
    this.#port = port;
    this.#plan = plan;

    this.rows = Array<number>(plan.options.expertWorkerCount).fill(0);
    const { placement, layerCount } = plan.options;
    this.#residents = Array.from({ length: layerCount }, (_, layer) =>
      residentTable(layerPlacement(placement, layer), expertRank(plan.rank)),
    );
    this.#slots = port.slots.map(({ hidden, answers }) => ({
      hidden: floats(hidden.bytes),
      answers: floats(answers.bytes),
    }));
  }

  act(action: ExpertAction): void {
    switch (action.type) {
      case 'close':
        this.#port.close();
        return;
      case 'receive':
        this.#input = this.#port.receive();
        return;
      case 'reply':
        if (this.#input === undefined) throw new Error('There is nothing to reply to.');
        this.#port.reply(this.#input);
        return;
      case 'learn':
        this.#learn(action);
        return;
      case 'retire':
        this.#port.retirePlacements(action.upTo);
        return;
      case 'serve':
        this.#serve(action.inputs ?? Number.POSITIVE_INFINITY, action.delayMs ?? 0);
        return;
      default:
        throw new Error(`An expert worker cannot ${action.type}.`);
    }
  }

  #learn({ epoch, placement }: PlacementEpoch): void {
    this.#port.learnPlacement({ epoch, placement });
    for (const [layer, residents] of this.#residents.entries()) {
      const own = residentExperts(layerPlacement(placement, layer), expertRank(this.#plan.rank));
      for (const id of own) residents[id] = 1;
    }
  }

  #serve(inputs: number, delayMs: number): void {
    for (let count = 0; count < inputs; count++) {
      const input = this.#port.receive();
      if (input === undefined) return;
      this.#check(input);
      if (delayMs > 0) blockFor(delayMs);
      this.#compute(input);
      this.#port.reply(input);
    }
  }

  #compute(input: ExpertInput): void {
    const { hiddenSize } = this.#plan.options;
    let row = 0;
    for (const [expert, count] of input.rowsPerExpert.entries()) {
      for (const end = row + count; row < end; row++) {
        const slot = this.#slots[input.slotIndex[row] ?? -1];
        const from = (input.hiddenRow[row] ?? 0) * hiddenSize;
        const to = (input.answerRow[row] ?? 0) * hiddenSize;
        for (let index = 0; index < hiddenSize && slot !== undefined; index++) {
          const value = slot.hidden[from + index] ?? Number.NaN;
          slot.answers[to + index] = expertAnswer(value, expert, input.layer);
        }
      }
    }
  }

  #check(input: ExpertInput): void {
    const { slotCount } = this.#plan.options;
    const slots = input.slotIndex.subarray(0, input.rowCount);
    const ranks = new Set([...slots].map((slot) => Math.floor(slot / slotCount)));
    this.inputs++;
    if (ranks.size > 1) this.merged++;
    const own = this.#plan.rank;
    this.rows[own] = (this.rows[own] ?? 0) + input.rowCount;
    const sum = input.rowsPerExpert.reduce((total, count) => total + count, 0);
    if (input.rowCount === 0) this.trouble.push('received an input without rows');
    if (sum !== input.rowCount) this.trouble.push(`${input.rowCount} rows, but ${sum} by expert`);
    const residents = this.#residents[input.layer];
    if (input.rowsPerExpert.length !== residents?.length) {
      this.trouble.push(`${input.rowsPerExpert.length} experts of ${residents?.length}`);
    }
    for (const [id, count] of input.rowsPerExpert.entries()) {
      if (count > 0 && residents?.[id] !== 1) {
        this.trouble.push(`rows of expert ${id} in layer ${input.layer}`);
      }
    }
    this.#checkOrder(input);
  }

  #checkOrder(input: ExpertInput): void {
    let row = 0;
    for (const count of input.rowsPerExpert) {
      for (const end = row + count; row < end; row++) {
        if (row + 1 === end) continue;
        const slot = (input.slotIndex[row] ?? 0) - (input.slotIndex[row + 1] ?? 0);
        const answer = (input.answerRow[row] ?? 0) - (input.answerRow[row + 1] ?? 0);
        if (slot > 0 || (slot === 0 && answer >= 0))
          this.trouble.push(`row ${row} is out of order`);
      }
    }
  }
}
