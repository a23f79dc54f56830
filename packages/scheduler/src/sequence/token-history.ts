import type { SequenceRequest } from './sequence-request.js';

/** What stays with a sequence through all its states. */
export interface TokenHistory {
  readonly request: SequenceRequest;
  readonly promptTokenCount: number;
  /** Every token known so far: the prompt, then the output. It only grows. */
  readonly tokens: readonly number[];
  /**
   * Prompt tokens whose logits were delivered: a preempted sequence does not deliver them twice.
   */
  readonly promptLogitsDelivered: number;
  /** Prompt tokens that the sequence found computed when it first started. */
  readonly cachedPromptTokens: number;
  /**
   * When its first and its newest output token were known, on the clock of `planStep`; undefined
   * before.
   */
  readonly firstTokenAtMs: number | undefined;
  readonly lastTokenAtMs: number | undefined;
  readonly preemptions: number;
  /** Its place in the order of admission, which orders sequences that arrived at the same time. */
  readonly admissionNumber: number;
}

/** A sequence's history as the batcher writes it. */
export class GrowingHistory implements TokenHistory {
  readonly request: SequenceRequest;
  readonly promptTokenCount: number;
  readonly admissionNumber: number;
  readonly tokens: number[];
  promptLogitsDelivered = 0;
  cachedPromptTokens = 0;
  firstTokenAtMs: number | undefined;
  lastTokenAtMs: number | undefined;
  preemptions = 0;

  constructor(request: SequenceRequest, admissionNumber: number) {
    this.request = request;
    this.promptTokenCount = request.promptTokens.length;
    this.admissionNumber = admissionNumber;
    this.tokens = Array.from(request.promptTokens).concat(Array.from(request.outputTokens ?? []));
  }

  /** Tokens to compute if the sequence runs to its maxTokens: the last one is never computed. */
  get tokensWanted(): number {
    return this.promptTokenCount + this.request.maxTokens - 1;
  }

  append(tokenId: number, nowMs: number): void {
    this.tokens.push(tokenId);
    this.firstTokenAtMs ??= nowMs;
    this.lastTokenAtMs = nowMs;
  }
}

/** Output tokens known so far. */
export function outputTokenCount({ tokens, promptTokenCount }: TokenHistory): number {
  return tokens.length - promptTokenCount;
}
