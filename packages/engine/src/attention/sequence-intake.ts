import { sequenceId, serializeError, type SequenceId } from '@megascale/core';
import type { Batcher, SequenceRequest } from '@megascale/scheduler';
import type { Admission, CoordinatorMessage } from '../protocol/messages.js';
import type { WorkerAccounts } from '../recorder/request-account.js';
import type { StepClock } from '../recorder/step-clock.js';
import type { WorkerContext } from '../worker/worker-context.js';
import type { TokenChooser } from './token-chooser.js';

export interface SequenceIntakeParts {
  readonly batcher: Batcher;
  readonly chooser: TokenChooser;
  readonly accounts: WorkerAccounts;
  readonly clock: StepClock;
}

/**
 * Admits sequences to an attention worker and cancels them: the batcher, the chooser of tokens and
 * the accounts know the same sequences.
 */
export class SequenceIntake {
  readonly #context: WorkerContext;
  readonly #parts: SequenceIntakeParts;

  constructor(context: WorkerContext, parts: SequenceIntakeParts) {
    this.#context = context;
    this.#parts = parts;
  }

  receive(message: CoordinatorMessage): void {
    if (message.type === 'sequences-admitted') message.sequences.forEach(this.#admit, this);
    if (message.type === 'sequence-cancelled') this.#cancel(sequenceId(message.id));
  }

  #admit(message: Admission): void {
    const id = sequenceId(message.id);
    const { batcher, chooser, accounts, clock } = this.#parts;
    try {
      batcher.add({
        id,
        promptTokens: message.promptTokenIds,
        maxTokens: message.maxTokens,
        eosTokenIds: message.endTokenIds,
        ignoreEos: message.endTokenIds.length === 0,
        arrivedAtMs: clock.nowUs() / 1000,
        sampling: message.sampling,
        ...this.#serviceOf(message),
      });
      accounts.open(id, message.submittedUs);
      chooser.register(id, {
        sampling: message.sampling,
        ...(message.logprobs === undefined ? {} : { logprobs: message.logprobs }),
      });
    } catch (error) {
      this.#context.inbox.send({
        type: 'sequence-failed',
        id: message.id,
        error: serializeError(error),
      });
    }
  }

  #cancel(id: SequenceId): void {
    this.#parts.batcher.cancel(id);
    this.#parts.chooser.forget(id);
    this.#parts.accounts.close(id);
  }

  /** Returns what the request asks of the policy, or what the deployment asks for all requests. */
  #serviceOf({
    priority,
    tenant,
    ttftTargetMs,
    tpotTargetMs,
  }: Admission): Pick<SequenceRequest, 'priority' | 'tenant' | 'ttftTargetMs' | 'tpotTargetMs'> {
    const { config } = this.#context.start;
    const ttft = ttftTargetMs ?? config.ttftTargetMs;
    const tpot = tpotTargetMs ?? config.tpotTargetMs;
    return {
      ...(priority === undefined ? {} : { priority }),
      ...(tenant === undefined ? {} : { tenant }),
      ...(ttft === undefined ? {} : { ttftTargetMs: ttft }),
      ...(tpot === undefined ? {} : { tpotTargetMs: tpot }),
    };
  }
}
