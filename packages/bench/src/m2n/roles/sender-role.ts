import {
  layerIndex,
  microBatchIndex,
  systemClock,
  type AttentionPort,
  type DispatchTicket,
} from '@megascale/core';
import { HeapUse, heapPhases } from './heap-use.js';
import { senderStamps } from '../m2n-figures.js';
import type { RoleResult } from './role.js';
import { bytesOf, tokensOf } from './role.js';
import { Rows } from './rows.js';
import { layersPerStep, type Phase, type TrafficPlan } from '../traffic.js';

/** Writes and sends everything, reads every answer. */
export function runSender(port: AttentionPort, plan: TrafficPlan): RoleResult {
  for (const { expertIds } of port.slots) routeRows(bytesOf(expertIds), plan);
  const total = plan.phases.reduce((sum, { messages }) => sum + messages, 0);
  const stride = senderStamps(plan);
  const samples = new Float64Array(stride * total);
  const sender = new Sender(port, plan);
  const heap = new HeapUse();
  for (const phase of heapPhases) {
    heap.mark();
    sender.run(phase, undefined, 0);
  }
  heap.mark();
  let sent = 0;
  for (const phase of plan.phases) {
    sender.run(phase, samples, stride * sent);
    sent += phase.messages;
  }
  return { samples, heapBytesPerMessage: heap.bytesPerMessage };
}

class Sender {
  readonly #tokens: number;
  readonly #stride: number;
  /** [slots][receivers] */
  readonly #rows: readonly (readonly Rows[])[];
  readonly #answers: readonly (readonly Rows[])[];
  readonly #tickets: (DispatchTicket | undefined)[];
  readonly #microBatches;
  readonly #layers = Array.from({ length: layersPerStep }, (_, layer) => layerIndex(layer));

  readonly #port: AttentionPort;

  constructor(port: AttentionPort, plan: TrafficPlan) {
    this.#port = port;

    this.#tokens = tokensOf(plan);
    this.#stride = senderStamps(plan);
    this.#rows = port.slots.map(({ hidden }) => stretches(bytesOf(hidden), plan));
    this.#answers = port.slots.map(({ answers }) => stretches(bytesOf(answers), plan));
    this.#tickets = port.slots.map(() => undefined);
    this.#microBatches = port.slots.map((_, slot) => microBatchIndex(slot));
  }

  /** Without `stamps` no row is touched. */
  run({ messages, window, answers }: Phase, stamps: Float64Array | undefined, at: number): void {
    const stride = this.#stride;
    const microBatches = this.#microBatches.slice(0, window);
    for (let message = 0; message < messages + window; message++) {
      const slot = message % window;
      const answered = message - window;
      if (answered >= 0) {
        this.#takeAnswers(slot, answered, answers);
        if (stamps !== undefined) {
          stamps[at + stride * (answered + 1) - 1] = systemClock.nowUs();
        }
      }
      if (message >= messages) continue;
      const layer = Math.floor(message / window) % layersPerStep;
      if (layer === 0 && slot === 0) this.#port.beginStep(microBatches);
      if (stamps !== undefined) {
        this.#write(slot, message, stamps, at + stride * message);
      }
      this.#send(layer, slot);
    }
  }

  #write(slot: number, message: number, stamps: Float64Array, at: number): void {
    const rows = this.#rows[slot] ?? [];
    for (let receiver = 0; receiver < rows.length; receiver++) {
      stamps[at + receiver] = systemClock.nowUs();
      rows[receiver]?.write(message);
    }
    stamps[at + rows.length] = systemClock.nowUs();
  }

  #send(layer: number, slot: number): void {
    const microBatch = this.#microBatches[slot] ?? microBatchIndex(0);
    const at = this.#layers[layer] ?? layerIndex(0);
    this.#tickets[slot] = this.#port.dispatch(at, microBatch, this.#tokens);
  }

  #takeAnswers(slot: number, message: number, full: boolean): void {
    const ticket = this.#tickets[slot];
    if (ticket === undefined) return;
    this.#port.combine(ticket);
    if (full) for (const rows of this.#answers[slot] ?? []) rows.read(message);
    this.#port.release(ticket);
    this.#tickets[slot] = undefined;
  }
}

/** [receivers] the stretch of a slot that goes to each. */
function stretches(slot: Uint8Array, { sizes }: TrafficPlan): Rows[] {
  let begin = 0;
  return sizes.map((size) => {
    begin += size;
    return new Rows(slot, begin - size, size);
  });
}

/** Expert r is the one on rank r, and takes the rows of its stretch. */
function routeRows(slot: Uint8Array, { sizes, rowBytes }: TrafficPlan): void {
  const ids = new Int32Array(slot.buffer, slot.byteOffset, slot.byteLength / 4);
  let token = 0;
  for (const [rank, size] of sizes.entries()) {
    ids.fill(rank, token, token + size / rowBytes);
    token += size / rowBytes;
  }
}
