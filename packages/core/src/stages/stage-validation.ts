import { BackendError } from '../errors.js';
import type { ExpertStageOptions } from '../spec/backend.js';
import type { Region } from '../spec/region.js';

/** Whether a stage or a backend is still open. A closed one refuses every call. */
export class OpenState {
  readonly #name: string;
  #open = true;

  constructor(name: string) {
    this.#name = name;
  }

  /** @throws BackendError 'ERR_DEVICE' once closed. */
  requireOpen(): void {
    if (this.#open) return;
    throw new BackendError('ERR_DEVICE', {
      message: `The ${this.#name} is closed. Create a new one.`,
      details: { name: this.#name },
    });
  }

  /** Idempotent. */
  close(): void {
    this.#open = false;
  }
}

/**
 * Checks an index.
 *
 * @throws BackendError 'ERR_SHAPE' unless 0 ≤ value < count.
 */
export function requireIndex(name: string, value: number, count: number): void {
  if (Number.isInteger(value) && value >= 0 && value < count) return;
  throw new BackendError('ERR_SHAPE', {
    message: `${name}: found ${value}, expected 0 … ${count - 1}.`,
    details: { name, value, count },
  });
}

/**
 * Checks the size of a slot's memory.
 *
 * @throws BackendError 'ERR_SHAPE' when the region has fewer bytes than `byteLengthMin`.
 */
export function requireRegion(name: string, { byteLength }: Region, byteLengthMin: number): void {
  if (byteLength >= byteLengthMin) return;
  refuse(`Slot memory ${name}: found ${byteLength} bytes, expected at least ${byteLengthMin}.`);
}

/**
 * Refuses a call that the caller should not have made.
 *
 * @throws BackendError 'ERR_SHAPE' with this text.
 */
export function refuse(message: string): never {
  throw new BackendError('ERR_SHAPE', { message });
}

/**
 * Checks the experts of a new stage.
 *
 * @throws BackendError 'ERR_SHAPE' unless there is one list per layer, each ascending and in range.
 */
export function requireAscendingExperts({ experts, program }: ExpertStageOptions): void {
  const { stages, sizes } = program;
  if (experts.length !== stages.length) {
    refuse(`experts is of ${experts.length} layers, the program of ${stages.length}.`);
  }
  for (const [layer, ids] of experts.entries()) {
    for (const [i, id] of ids.entries()) {
      const path = `experts[${layer}]`;
      requireIndex(`${path}[${i}]`, id, sizes.expertCount);
      const before = ids[i - 1];
      if (before !== undefined && before >= id) refuse(`${path}: ${before}, ${id} do not ascend.`);
    }
  }
}
