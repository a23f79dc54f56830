import type { GenerateOptions, Piece, Usage } from '@megascale/engine';
import type { HttpContext } from '../http/http-context.js';

/** One of the answers that a request asks for. Each runs as a sequence of its own. */
export interface AnswerPlan {
  /** The choice's index in the response. */
  readonly index: number;
  /** Token ids, so that a text is encoded once for all its answers. */
  readonly prompt: readonly number[];
  /** The prompt as it was sent, if it was sent as a text. */
  readonly promptText?: string;
  /** Only the first answer of a prompt counts its prompt tokens. */
  readonly countsPrompt: boolean;
  readonly options: GenerateOptions;
}

export interface RunOptions {
  readonly context: HttpContext;
  readonly requestId: string;
  /** Aborts when the client leaves, and when one answer fails: a request succeeds as a whole. */
  readonly abort: AbortController;
  readonly receivedUs: number;
  onPiece(plan: AnswerPlan, piece: Piece): Promise<void> | void;
}

/**
 * Runs all answers of a request at once and returns their usage together. When one fails, it aborts
 * the others, and throws the first failure once all have stopped.
 */
export async function runAnswers(
  plans: readonly AnswerPlan[],
  options: RunOptions,
): Promise<Usage> {
  const failures: unknown[] = [];
  const usages = await Promise.all(
    plans.map(async (plan) => {
      try {
        return await runAnswer(plan, options);
      } catch (error) {
        failures.push(error);
        options.abort.abort();
        return noUsage;
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
  return {
    promptTokens: sum(usages.map((usage) => usage.promptTokens)),
    cachedPromptTokens: sum(usages.map((usage) => usage.cachedPromptTokens)),
    outputTokens: sum(usages.map((usage) => usage.outputTokens)),
  };
}

async function runAnswer(plan: AnswerPlan, options: RunOptions): Promise<Usage> {
  const { context, abort, receivedUs, requestId } = options;
  const watch = context.metrics.watchAnswer(receivedUs);
  const pieces = context.model.generate(plan.prompt, {
    ...plan.options,
    requestId,
    signal: abort.signal,
  });
  for await (const piece of pieces) {
    watch.onTokens(piece.tokens.length);
    if (piece.finishReason !== undefined) watch.onFinish(piece.finishReason);
    await options.onPiece(plan, piece);
    if (piece.finishReason === undefined) continue;
    const { promptTokens, cachedPromptTokens, outputTokens } = piece.usage ?? noUsage;
    return plan.countsPrompt
      ? { promptTokens, cachedPromptTokens, outputTokens }
      : { ...noUsage, outputTokens };
  }
  throw new Error(`Answer ${plan.index} ended without a finish reason.`);
}

const noUsage: Usage = { promptTokens: 0, cachedPromptTokens: 0, outputTokens: 0 };

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Returns the usage in OpenAI's form. */
export function usageFields({ promptTokens, cachedPromptTokens, outputTokens }: Usage) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: outputTokens,
    total_tokens: promptTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: cachedPromptTokens },
  };
}
