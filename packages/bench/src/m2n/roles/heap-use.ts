import { layersPerStep, type Phase } from '../traffic.js';

const pieces = 12;
const messagesPerPiece = 64 * layersPerStep;

/**
 * Come before the timed phases: messages whose rows and times are not touched, to see what the ports
 * take of the heap, and to let the engine compile them.
 */
export const heapPhases: readonly Phase[] = Array.from({ length: pieces }, () => ({
  messages: messagesPerPiece,
  window: 1,
  answers: false,
}));

/** What the heap grew by from one of these phases to the next. */
export class HeapUse {
  #before = NaN;
  #leastBytes = Infinity;

  /** Call where such a phase begins, and at the end of the last. */
  mark(): void {
    const now = process.memoryUsage().heapUsed;
    const taken = now - this.#before;
    // Compilers and the collector disturb single pieces; what every message takes is in all of
    // them.
    if (taken >= 0) this.#leastBytes = Math.min(this.#leastBytes, taken);
    this.#before = process.memoryUsage().heapUsed;
  }

  get bytesPerMessage(): number {
    return this.#leastBytes / messagesPerPiece;
  }
}
