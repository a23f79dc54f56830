import type { SamplingOptions, SequenceId } from '@megascale/core';

/**
 * Why a sequence ended. 'stop': an end-of-sequence token, or a stop text that the caller found.
 * 'length': maxTokens. 'abort': the client left. 'error': the engine could not go on.
 */
export type FinishReason = 'stop' | 'length' | 'abort' | 'error';

/** What the engine asks of the scheduler for one sequence. */
export interface SequenceRequest {
  readonly id: SequenceId;
  /** At least one. */
  readonly promptTokens: ArrayLike<number>;
  /**
   * Output tokens that the client already has, of a sequence whose worker was lost: they are
   * computed again and never emitted again.
   */
  readonly outputTokens?: ArrayLike<number>;
  /** Output tokens at most, `outputTokens` included; at least 1. */
  readonly maxTokens: number;
  readonly eosTokenIds: readonly number[];
  /** The sequence goes on past end-of-sequence tokens. */
  readonly ignoreEos: boolean;
  /** On the clock that also gives `planStep` its time. */
  readonly arrivedAtMs: number;
  /** For the sampler; the scheduler does not read it. */
  readonly sampling: SamplingOptions;
  /**
   * Asks for the logits of every prompt token as well, for log-probabilities of the prompt.
   * Default false.
   */
  readonly promptLogits?: boolean;
  /** A whole number; a higher one is served sooner. Default 0. */
  readonly priority?: number;
  /** The tenant that sent the request, where tenants share the worker fairly. */
  readonly tenant?: string;
  /** The wanted time from arrival to the first token, in milliseconds. */
  readonly ttftTargetMs?: number;
  /** The wanted time from one token to the next, in milliseconds. */
  readonly tpotTargetMs?: number;
}
