import { ifNumber, type Seats } from './seats.js';
import type { SequenceRequest, TokenHistory } from './sequence.js';
import { WaitingSequenceView } from '../batch/waiting-view.js';

/** A sequence's history as the batcher writes it. While the sequence runs, its seat has the newest tokens; they come here when they are asked for. */
export class GrowingHistory implements TokenHistory {
  readonly request: SequenceRequest;
  readonly promptTokenCount: number;
  readonly admissionNumber: number;
  /** What policies see of it while it waits. */
  readonly view: WaitingSequenceView;
  promptLogitsDelivered = 0;
  cachedPromptTokens = 0;
  preemptions = 0;
  readonly #tokens: number[];
  #firstTokenAtMs: number | undefined;
  #lastTokenAtMs: number | undefined;
  #seats: Seats | undefined;
  #seat = 0;

  constructor(request: SequenceRequest, admissionNumber: number) {
    this.request = request;
    this.promptTokenCount = request.promptTokens.length;
    this.admissionNumber = admissionNumber;
    this.view = new WaitingSequenceView(request);
    this.#tokens = Array.from(request.promptTokens).concat(Array.from(request.outputTokens ?? []));
  }

  get tokens(): readonly number[] {
    this.settle();
    return this.#tokens;
  }

  get firstTokenAtMs(): number | undefined {
    return this.#seats === undefined
      ? this.#firstTokenAtMs
      : ifNumber(this.#seats.firstTokenAtMs[this.#seat]);
  }

  get lastTokenAtMs(): number | undefined {
    return this.#seats === undefined
      ? this.#lastTokenAtMs
      : ifNumber(this.#seats.lastTokenAtMs[this.#seat]);
  }

  /** It runs from now on: the seat it has. */
  sit(seats: Seats): number {
    const { request, promptTokenCount, firstTokenAtMs, lastTokenAtMs } = this;
    this.#seat = seats.take({
      ...{ promptTokenCount, tokens: this.#tokens, firstTokenAtMs, lastTokenAtMs },
      knownOutputTokens: request.outputTokens?.length ?? 0,
      maxTokens: request.maxTokens,
      wantsPromptLogits: request.promptLogits === true,
    });
    this.#seats = seats;
    return this.#seat;
  }

  /** Takes the newest tokens from its seat. */
  settle(): void {
    this.#seats?.emptyTail(this.#seat, this.#tokens);
  }

  /** It runs no more. */
  leave(): void {
    this.settle();
    this.#firstTokenAtMs = this.firstTokenAtMs;
    this.#lastTokenAtMs = this.lastTokenAtMs;
    this.#seats?.giveBack(this.#seat);
    this.#seats = undefined;
  }
}
