import { sequenceId } from '@megascale/core';
import type { Batcher } from '@megascale/scheduler';
import type { PolicyFailures } from '../plugins/policy-failures.js';
import type { GeneratedToken, WorkerStats } from '../protocol/messages.js';
import type { WorkerAccounts } from '../recorder/request-account.js';
import type { StepTimes } from '../recorder/step-clock.js';
import type { Inbox } from '../worker/thread-inbox.js';
import type { StepTuner } from './step-tuner.js';
import type { TokenChooser } from './token-chooser.js';

export interface TokenPublisherParts {
  readonly batcher: Batcher;
  readonly chooser: TokenChooser;
  readonly accounts: WorkerAccounts;
  readonly tuner: StepTuner;
  readonly policyFailures: PolicyFailures;
  /** The sums of the step clock. */
  readonly times: Readonly<StepTimes>;
  readonly inbox: Pick<Inbox, 'send'>;
}

/**
 * Collects the tokens of the oldest step in flight, and sends them to the coordinator at its end.
 */
export class TokenPublisher {
  readonly #parts: TokenPublisherParts;
  #tokens: GeneratedToken[] = [];

  constructor(parts: TokenPublisherParts) {
    this.#parts = parts;
  }

  /** Completes the oldest micro-batch in flight with the tokens that the chooser chose for it. */
  endMicroBatch(): void {
    const { batcher, chooser } = this.#parts;
    const { emitted, finished } = batcher.completeMicroBatch(chooser.chosen);
    for (const token of emitted) {
      const { logprob, top } = chooser.detailsOf(token.row);
      this.#tokens.push({
        sequence: token.id,
        id: token.tokenId,
        ...(logprob === undefined ? {} : { logprob }),
        ...(top === undefined ? {} : { top }),
        ...(token.cachedPromptTokens === undefined ? {} : { cached: token.cachedPromptTokens }),
        ...(token.finishReason === undefined ? {} : { finished: token.finishReason }),
      });
    }
    for (const { history } of finished) chooser.forget(history.request.id);
    chooser.chooseNone();
  }

  /** Sends the tokens of the step, if it has any, and returns how many it has. */
  publishStep(): number {
    const tokens = this.#tokens;
    if (tokens.length === 0) return 0;
    this.#tokens = [];
    for (const token of tokens) {
      if (token.finished === undefined) continue;
      const account = this.#parts.accounts.close(sequenceId(token.sequence));
      if (account !== undefined) token.account = account;
    }
    this.#send(tokens);
    return tokens.length;
  }

  /** Sends the numbers of the worker without tokens. */
  publishStats(): void {
    this.#send([]);
  }

  #send(tokens: GeneratedToken[]): void {
    this.#parts.inbox.send({ type: 'tokens-generated', tokens, stats: this.#stats() });
  }

  #stats(): WorkerStats {
    const { batcher, tuner, policyFailures, times } = this.#parts;
    const { counts } = batcher;
    const { attentionCost } = tuner;
    return {
      sequencesWaiting: counts.waiting,
      sequencesRunning: counts.running,
      kvPagesFree: counts.kvPagesFree,
      preemptions: counts.preemptionsTotal,
      kvPagesCached: counts.kvPagesCached,
      cachedPromptTokens: counts.cachedPromptTokensTotal,
      computedTokens: counts.computedTokensTotal,
      policyErrors: policyFailures.count,
      microBatches: tuner.microBatchCount,
      steps: counts.stepsTotal,
      ...times,
      ...(attentionCost === undefined ? {} : { attentionCost }),
    };
  }
}
