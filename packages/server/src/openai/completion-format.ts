import type { HttpContext } from '../http/http-context.js';
import { usageFields, type AnswerPlan } from './answers.js';
import { completionLogprobs } from './logprobs.js';
import type { AnswerFormat } from './respond.js';

/**
 * Makes the format of /v1/completions for one request. `echo` puts the prompt before each answer.
 */
export function completionFormat(
  context: HttpContext,
  shown: { readonly echo: boolean; readonly logprobs: boolean },
): AnswerFormat {
  const head = {
    id: `cmpl-${context.newId()}`,
    object: 'text_completion',
    created: Math.floor(context.clock.wallMs() / 1000),
    model: context.model.info.name,
    system_fingerprint: context.fingerprint,
  };
  /** Length of the token texts streamed so far, by answer: where the next token's text starts. */
  const offsets = new Map<number, number>();
  const begun = new Set<number>();
  const echoOf = (plan: AnswerPlan): string => {
    if (!shown.echo || begun.has(plan.index)) return '';
    begun.add(plan.index);
    return plan.promptText ?? context.model.detokenize(plan.prompt);
  };
  return {
    id: head.id,
    chunks(plan, piece) {
      const answerText = echoOf(plan) + piece.text;
      const finishReason = piece.finishReason ?? null;
      const showsTokens = shown.logprobs && piece.tokens.length > 0;
      if (answerText === '' && finishReason === null && !showsTokens) return [];
      const offset = offsets.get(plan.index) ?? 0;
      const logprobs = showsTokens ? completionLogprobs(piece.tokens, offset) : null;
      const length = piece.tokens.reduce((total, token) => total + token.text.length, 0);
      offsets.set(plan.index, offset + length);
      const choice = { index: plan.index, text: answerText, logprobs, finish_reason: finishReason };
      return [{ ...head, choices: [choice] }];
    },
    usageChunk: (usage) => ({ ...head, choices: [], usage: usageFields(usage) }),
    body: (answers, usage) => ({
      ...head,
      choices: answers.map((answer) => ({
        index: answer.plan.index,
        text: echoOf(answer.plan) + answer.text,
        logprobs: shown.logprobs ? completionLogprobs(answer.tokens, 0) : null,
        finish_reason: answer.finishReason,
      })),
      usage: usageFields(usage),
    }),
  };
}
