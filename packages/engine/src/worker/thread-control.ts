import type { WorkerRole } from '../protocol/worker-role.js';

/**
 * Two words of memory shared by a worker's main thread and its data thread. The data thread may be
 * inside a wait when the main thread learns that it should stop: every wait reads them.
 */
const reasonWord = 0;
const peerWord = 1;
const running = 0;
const stopping = 1;
const attentionLost = 2;
const expertLost = 3;

export class ThreadControl {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(memory = new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  stop(): void {
    Atomics.compareExchange(this.#words, reasonWord, running, stopping);
  }

  reportLost(role: WorkerRole, rank: number): void {
    Atomics.store(this.#words, peerWord, rank);
    const reason = role === 'attention' ? attentionLost : expertLost;
    Atomics.compareExchange(this.#words, reasonWord, running, reason);
  }

  /** Why waits should end, for `TransportOptions.stopReason`. */
  readonly stopReason = (): string | undefined => {
    const reason = Atomics.load(this.#words, reasonWord);
    if (reason === running) return undefined;
    if (reason === stopping) return 'this worker is stopping';
    const role = reason === attentionLost ? 'attention' : 'expert';
    return `${role} worker ${String(Atomics.load(this.#words, peerWord))} was lost`;
  };
}
