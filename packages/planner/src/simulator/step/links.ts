import type { SimulatedInstance } from '../simulated-instance.js';

/**
 * The ends of the network between the pools: every worker has one way out and one way in, each busy
 * with one message at a time. A message to several peers leaves as one (its parts side by side),
 * and is there when it has left and when its receiver has taken it in; receiving begins with
 * sending. With one sender and one receiver that is one link of T_c per message.
 */
export class Links {
  /** When the sending that `receive` is about began. */
  #startedUs = 0;
  readonly #instance: SimulatedInstance;
  /** [attention workers, then expert workers] until when each is busy. */
  readonly #out: Float64Array;
  readonly #in: Float64Array;

  constructor(instance: SimulatedInstance) {
    this.#instance = instance;
    const ends = instance.attentionWorkers + instance.expertWorkers;
    this.#out = new Float64Array(ends);
    this.#in = new Float64Array(ends);
  }

  /** To all workers of the other pool; returns when it has left. */
  send(end: number, readyUs: number, bytes: number): number {
    this.#startedUs = Math.max(readyUs, this.#out[end] ?? 0);
    const { attentionWorkers, expertWorkers } = this.#instance;
    const peers = end < attentionWorkers ? expertWorkers : attentionWorkers;
    const leftUs = this.#startedUs + this.#takesUs(end, bytes, peers);
    this.#out[end] = leftUs;
    return leftUs;
  }

  /** When a part of what was sent last, of so many bytes, is at `end`. */
  receive(end: number, leftUs: number, bytes: number): number {
    const free = this.#in[end] ?? 0;
    const takesUs = this.#takesUs(end, bytes, 1);
    // What every message costs is paid once by a receiver whose messages follow each other.
    const taken =
      free > this.#startedUs
        ? free + takesUs - this.#takesUs(end, 0, 1)
        : this.#startedUs + takesUs;
    this.#in[end] = taken;
    return Math.max(leftUs, taken);
  }

  /** T_c as this end alone would make it. */
  #takesUs(end: number, bytes: number, peers: number): number {
    const { costs, attentionWorkers } = this.#instance;
    return end < attentionWorkers
      ? costs.transferTimeUs({
          attentionBytes: bytes,
          expertBytes: 0,
          attentionPeers: peers,
          expertPeers: 0,
        })
      : costs.transferTimeUs({
          attentionBytes: 0,
          expertBytes: bytes,
          attentionPeers: 0,
          expertPeers: peers,
        });
  }
}
