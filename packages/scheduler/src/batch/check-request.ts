import { RequestError, type SequenceId } from '@megascale/core';
import type { SequenceRequest } from '../sequence/sequence-request.js';

/**
 * Refuses a request that could never be served: it would wait for ever.
 *
 * @throws RequestError 'ERR_REQUEST_INVALID' or 'ERR_CONTEXT_LENGTH'.
 */
export function checkRequest(
  request: SequenceRequest,
  sequenceTokensMax: number,
  isKnown: (id: SequenceId) => boolean,
): void {
  const { id, maxTokens } = request;
  const promptTokens = request.promptTokens.length;
  const outputTokens = request.outputTokens?.length ?? 0;
  if (isKnown(id)) invalid(`sequence ${id} is here already; give every sequence its own id.`);
  if (promptTokens < 1) invalid('the prompt has no tokens; give at least one.');
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 1) {
    invalid(`maxTokens is ${maxTokens}; give a whole number of at least 1.`);
  }
  if (outputTokens >= maxTokens) {
    invalid(`${outputTokens} output tokens are there, maxTokens is ${maxTokens}: nothing is left.`);
  }
  if (promptTokens + maxTokens <= sequenceTokensMax) return;
  throw new RequestError('ERR_CONTEXT_LENGTH', {
    message:
      `${promptTokens} prompt tokens and maxTokens ${maxTokens} exceed the ${sequenceTokensMax} ` +
      'tokens a sequence may have here. Shorten the prompt or lower maxTokens.',
    details: { promptTokens, maxTokens, sequenceTokensMax },
  });
}

function invalid(finding: string): never {
  throw new RequestError('ERR_REQUEST_INVALID', { message: `Refused: ${finding}` });
}
