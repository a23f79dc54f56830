import { serializeError, type PolicyError } from '@megascale/core';
import type { Inbox } from '../worker/thread-inbox.js';

/** Different messages that are passed on; a policy may word each failure anew. */
const messagesMax = 16;

/** Counts the steps that a policy failed to plan, and reports each new way of failing once. */
export class PolicyFailures {
  count = 0;
  readonly #inbox: Pick<Inbox, 'send'>;
  readonly #reported = new Set<string>();

  constructor(inbox: Pick<Inbox, 'send'>) {
    this.#inbox = inbox;
  }

  readonly note = (error: PolicyError): void => {
    this.count += 1;
    if (this.#reported.size === messagesMax || this.#reported.has(error.message)) return;
    this.#reported.add(error.message);
    this.#inbox.send({ type: 'policy-failed', error: serializeError(error) });
  };
}
