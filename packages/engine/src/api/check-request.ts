import { RequestError } from '@megascale/core';
import type { GenerateOptions, ModelInfo } from '../spec/language-model.js';

const logprobsMax = 20;
const stopTextsMax = 16;
const priorityMax = 1_000;
const tenantLengthMax = 256;

/** @throws RequestError 'ERR_REQUEST_INVALID' that names the option and what it may be. */
export function checkOptions(options: GenerateOptions): void {
  const { logprobs, stop, priority, tenant } = options;
  if (priority !== undefined && !isWhole(priority, -priorityMax, priorityMax)) {
    const range = `-${String(priorityMax)} to ${String(priorityMax)}`;
    throw invalid('priority', `it must be a whole number from ${range}`, priority);
  }
  if (tenant !== undefined && tenant.length > tenantLengthMax) {
    throw invalid('tenant', `it may have ${String(tenantLengthMax)} characters`, tenant.length);
  }
  for (const field of ['ttftTargetMs', 'tpotTargetMs'] as const) {
    const target = options[field];
    if (target === undefined || (Number.isFinite(target) && target > 0)) continue;
    throw invalid(field, 'it must be a positive number of milliseconds', target);
  }
  if (logprobs !== undefined && !isWhole(logprobs, 0, logprobsMax)) {
    const range = `0 to ${String(logprobsMax)}`;
    throw invalid('logprobs', `it must be a whole number from ${range}`, logprobs);
  }
  if (stop !== undefined && (stop.length > stopTextsMax || stop.includes(''))) {
    throw invalid('stop', `give at most ${String(stopTextsMax)} texts, none of them empty`, stop);
  }
}

/**
 * Returns how many output tokens the request may have: what it asks for, or what the context
 * leaves.
 *
 * @throws RequestError 'ERR_REQUEST_INVALID' for an empty prompt, a token id outside the vocabulary
 * or an invalid `maxTokens`; 'ERR_CONTEXT_LENGTH' when prompt and output exceed `maxModelLen`.
 */
export function checkLengths(
  { maxModelLen, vocabSize }: Pick<ModelInfo, 'maxModelLen' | 'vocabSize'>,
  promptTokenIds: readonly number[],
  maxTokens: number | undefined,
): number {
  const promptTokens = promptTokenIds.length;
  if (promptTokens === 0) throw invalid('prompt', 'the prompt has no tokens; give at least one', 0);
  const unknown = promptTokenIds.find((id) => !isWhole(id, 0, vocabSize - 1));
  if (unknown !== undefined) {
    const range = `0 to ${String(vocabSize - 1)}`;
    throw invalid('prompt', `token ids are whole numbers from ${range}`, unknown);
  }
  if (maxTokens !== undefined && !isWhole(maxTokens, 1, Infinity)) {
    throw invalid('maxTokens', 'it must be a whole number of at least 1', maxTokens);
  }
  const room = maxModelLen - promptTokens;
  if (room >= 1 && (maxTokens === undefined || maxTokens <= room)) return maxTokens ?? room;
  const asked =
    maxTokens === undefined ? '' : ` and ${String(maxTokens)} output tokens are asked for`;
  throw new RequestError('ERR_CONTEXT_LENGTH', {
    message:
      `The prompt has ${String(promptTokens)} tokens${asked}; prompt and output together ` +
      `may have ${String(maxModelLen)}. Shorten the prompt or ask for less.`,
    details: { promptTokens, maxTokens, maxModelLen },
  });
}

/** @throws RequestError 'ERR_ABORTED' when the signal is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError();
}

export function abortError(): RequestError {
  return new RequestError('ERR_ABORTED', { message: 'The request was aborted by its sender.' });
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function invalid(field: string, what: string, found: unknown): RequestError {
  return new RequestError('ERR_REQUEST_INVALID', {
    message: `${field}: ${what} (found ${JSON.stringify(found)}).`,
    details: { field, found },
  });
}
