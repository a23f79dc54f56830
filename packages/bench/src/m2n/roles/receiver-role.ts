import { systemClock, type ExpertInput, type ExpertPort } from '@megascale/core';
import { HeapUse, heapPhases } from './heap-use.js';
import type { RoleResult } from './role.js';
import { bytesOf } from './role.js';
import { Rows } from './rows.js';
import type { Phase, TrafficPlan } from '../traffic.js';

/** Reads everything and answers every message, until the senders close. */
export function runReceiver(port: ExpertPort, plan: TrafficPlan, rank: number): RoleResult {
  const receiver = new Receiver(port, plan, rank);
  for (;;) {
    const input = port.receive();
    if (input === undefined) return receiver.result();
    receiver.take(input, systemClock.nowUs());
    port.reply(input);
  }
}

/** How far one sender has come: senders enter a phase each at its own time. */
interface Progress {
  phase: number;
  message: number;
  /** Timed messages of the phases before. */
  before: number;
}

class Receiver {
  readonly #phases: readonly Phase[];
  readonly #progress: readonly Progress[];
  readonly #rows: readonly Rows[];
  readonly #answers: readonly Rows[];
  /** Of one sender, to this rank. */
  readonly #tokens: number;
  readonly #samples: Float64Array;
  readonly #heap = new HeapUse();

  readonly #plan: TrafficPlan;

  constructor(port: ExpertPort, plan: TrafficPlan, rank: number) {
    this.#plan = plan;

    const begin = plan.sizes.slice(0, rank).reduce((sum, size) => sum + size, 0);
    const size = plan.sizes[rank] ?? 0;
    this.#phases = [...heapPhases, ...plan.phases.filter(({ messages }) => messages > 0)];
    this.#progress = Array.from({ length: plan.senders }, () => ({
      phase: 0,
      message: 0,
      before: 0,
    }));
    this.#rows = port.slots.map(({ hidden }) => new Rows(bytesOf(hidden), begin, size));
    this.#answers = port.slots.map((slot) => new Rows(bytesOf(slot.answers), begin, size));
    this.#tokens = size / plan.rowBytes;
    const total = plan.phases.reduce((sum, { messages }) => sum + messages, 0);
    this.#samples = new Float64Array(2 * plan.senders * total);
  }

  /** Rows of one message lie side by side, and so do their answers. */
  take({ rowCount, slotIndex }: ExpertInput, mayReadUs: number): void {
    for (let row = 0; row < rowCount; row += this.#tokens) {
      const slot = slotIndex[row] ?? 0;
      this.#takeMessage(slot, Math.floor(slot / this.#plan.slots), mayReadUs);
    }
  }

  result(): RoleResult {
    if (this.#progress.some(({ phase }) => phase < this.#phases.length)) {
      throw new Error('The senders closed before they had sent all.');
    }
    return { samples: this.#samples, heapBytesPerMessage: this.#heap.bytesPerMessage };
  }

  #takeMessage(slot: number, sender: number, mayReadUs: number): void {
    const progress = this.#progress[sender];
    const phase = progress && this.#phases[progress.phase];
    if (progress === undefined || phase === undefined) {
      throw new Error(`Sender ${sender} sent more than it was told to.`);
    }
    const { message, before } = progress;
    if (progress.phase < heapPhases.length) {
      if (message === 0 && sender === 0) this.#heap.mark();
    } else {
      if (message === 0 && progress.phase === heapPhases.length && sender === 0) this.#heap.mark();
      const at = 2 * ((before + message) * this.#plan.senders + sender);
      this.#rows[slot]?.read(message);
      this.#samples[at] = mayReadUs;
      this.#samples[at + 1] = systemClock.nowUs();
      if (phase.answers) this.#answers[slot]?.write(message);
    }
    if (++progress.message < phase.messages) return;
    if (progress.phase >= heapPhases.length) progress.before += phase.messages;
    progress.message = 0;
    progress.phase++;
  }
}
