import {
  deserializeError,
  RequestError,
  systemClock,
  type ResolvedSampling,
} from '@megascale/core';
import type { EngineConfig } from '../config/engine-config.js';
import type { Admission, CoordinatorMessage, WorkerMessage } from '../protocol/messages.js';
import type { WorkerHandle } from '../protocol/worker-handle.js';
import { TokenStream } from './token-stream.js';
import { WorkerLoads, type PlacedSequence } from './worker-loads.js';

export interface SequenceSubmission {
  readonly promptTokenIds: readonly number[];
  readonly maxTokens: number;
  readonly endTokenIds: readonly number[];
  readonly sampling: ResolvedSampling;
  readonly logprobs?: number;
  readonly priority?: number;
  readonly tenant?: string;
  readonly ttftTargetMs?: number;
  readonly tpotTargetMs?: number;
}

export interface SubmittedSequence {
  readonly id: number;
  readonly stream: TokenStream;
}

interface Assigned {
  readonly rank: number;
  readonly stream: TokenStream;
  readonly placed: PlacedSequence;
}

/** Every sequence in the engine: which attention worker has it, and where its tokens go. */
export class SequenceTable {
  readonly #config: EngineConfig;
  /** Sends to the attention worker of this rank. */
  readonly #send: (rank: number, message: CoordinatorMessage) => void;
  readonly #loads: WorkerLoads;
  readonly #sequences = new Map<number, Assigned>();
  /** By attention rank: what was submitted in this turn of the event loop. */
  readonly #unsent = new Map<number, Admission[]>();
  #nextId = 1;
  #idle: (() => void) | undefined;
  #promptTokensTotal = 0;
  #outputTokensTotal = 0;

  constructor(config: EngineConfig, send: (rank: number, message: CoordinatorMessage) => void) {
    this.#config = config;
    this.#send = send;
    this.#loads = new WorkerLoads(config);
  }

  get size(): number {
    return this.#sequences.size;
  }

  get promptTokensTotal(): number {
    return this.#promptTokensTotal;
  }

  get outputTokensTotal(): number {
    return this.#outputTokensTotal;
  }

  /** @throws RequestError 'ERR_QUEUE_FULL' beyond `maxQueuedRequests` for each attention worker. */
  submit(submission: SequenceSubmission): SubmittedSequence {
    this.#requireRoom();
    const placed = this.#loads.place(submission.promptTokenIds, submission.maxTokens);
    const { rank } = placed;
    const id = this.#nextId++;
    const stream = new TokenStream();
    this.#sequences.set(id, { rank, stream, placed });
    this.#promptTokensTotal += submission.promptTokenIds.length;
    this.#admit(rank, {
      id,
      ...submission,
      submittedUs: systemClock.nowUs(),
      promptTokenIds: [...submission.promptTokenIds],
      endTokenIds: [...submission.endTokenIds],
    });
    return { id, stream };
  }

  /** Frees what the sequence holds. Does nothing when it has already ended. */
  cancel(id: number): void {
    const sequence = this.#sequences.get(id);
    if (sequence === undefined) return;
    this.#sendAdmissions(sequence.rank);
    this.#send(sequence.rank, { type: 'sequence-cancelled', id });
    this.#remove(id);
  }

  receive(worker: WorkerHandle, message: WorkerMessage): void {
    if (message.type === 'sequence-failed') {
      this.#sequences.get(message.id)?.stream.fail(deserializeError(message.error));
      this.#remove(message.id);
    }
    if (message.type !== 'tokens-generated') return;
    this.#loads.noteCost(worker.rank, message.stats.attentionCost);
    for (const token of message.tokens) {
      // A sequence that was cancelled in the meantime has no reader for its last tokens.
      const sequence = this.#sequences.get(token.sequence);
      if (sequence === undefined) continue;
      this.#outputTokensTotal += 1;
      this.#loads.noteToken(sequence.placed);
      sequence.stream.push(token);
      if (token.finished !== undefined) this.#remove(token.sequence);
    }
  }

  /** Ends every sequence with the error; what was not sent to a worker yet is never sent. */
  failAll(error: Error): void {
    this.#unsent.clear();
    for (const [id, { stream }] of this.#sequences) {
      stream.fail(error);
      this.#remove(id);
    }
  }

  /** Resolves when there is no sequence any more, and after `limitMs` at the latest. */
  async drained(limitMs: number): Promise<void> {
    if (this.#sequences.size === 0 || limitMs <= 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
      timer = setTimeout(resolve, limitMs);
    });
    clearTimeout(timer);
  }

  #requireRoom(): void {
    const { attentionWorkers, maxQueuedRequests, maxNumSeqs } = this.#config;
    const max = attentionWorkers * (maxQueuedRequests + maxNumSeqs);
    const { size } = this.#sequences;
    if (size < max) return;
    throw new RequestError('ERR_QUEUE_FULL', {
      message:
        `${String(size)} sequences are running or waiting, and no more are taken. ` +
        'Retry later, or let the server take more with --max-queued-requests ' +
        '(option maxQueuedRequests).',
      details: { limit: 'maxQueuedRequests', max },
    });
  }

  /** Collects what is submitted in one turn into one message, so that it can start in one step. */
  #admit(rank: number, admission: Admission): void {
    const sequences = this.#unsent.get(rank);
    if (sequences !== undefined) {
      sequences.push(admission);
      return;
    }
    this.#unsent.set(rank, [admission]);
    queueMicrotask(() => {
      this.#sendAdmissions(rank);
    });
  }

  #sendAdmissions(rank: number): void {
    const sequences = this.#unsent.get(rank);
    if (sequences === undefined) return;
    this.#unsent.delete(rank);
    this.#send(rank, { type: 'sequences-admitted', sequences });
  }

  #remove(id: number): void {
    const sequence = this.#sequences.get(id);
    if (sequence !== undefined) this.#loads.remove(sequence.placed);
    this.#sequences.delete(id);
    if (this.#sequences.size === 0) this.#idle?.();
  }
}
