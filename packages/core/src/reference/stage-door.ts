import { BackendError } from '../errors.js';

/** Open until closed: every call of a closed stage or backend is refused. */
export class StageDoor {
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

/** @throws BackendError 'ERR_SHAPE' unless 0 ≤ value < count. */
export function requireIndex(name: string, value: number, count: number): void {
  if (Number.isInteger(value) && value >= 0 && value < count) return;
  throw new BackendError('ERR_SHAPE', {
    message: `${name}: found ${value}, expected 0 … ${count - 1}.`,
    details: { name, value, count },
  });
}

/** @throws BackendError 'ERR_SHAPE' with this text: a caller's bug in the order of calls. */
export function refuse(message: string): never {
  throw new BackendError('ERR_SHAPE', { message });
}
