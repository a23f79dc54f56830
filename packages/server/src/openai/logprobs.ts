import type { OutputToken } from '@megascale/engine';

/** Stands for -Infinity, which JSON does not have, as in OpenAI's answers. */
const logprobMin = -9999;

/** The `logprobs` of /v1/completions: parallel lists, one entry per token. */
export interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: number[];
  readonly top_logprobs: Record<string, number>[];
  /** Where each token's text starts, in UTF-16 units from the start of the answer. */
  readonly text_offset: number[];
}

/** Makes the lists for some tokens. `offset` is where the text of the first token starts. */
export function completionLogprobs(
  tokens: readonly OutputToken[],
  offset: number,
): CompletionLogprobs {
  let next = offset;
  return {
    tokens: tokens.map((token) => token.text),
    token_logprobs: tokens.map((token) => finite(token.logprob)),
    top_logprobs: tokens.map((token) => topByText(token.topLogprobs ?? [])),
    text_offset: tokens.map((token) => (next += token.text.length) - token.text.length),
  };
}

/**
 * Maps texts to log-probabilities. Of two tokens with one text the likelier, the first, is kept.
 */
function topByText(top: NonNullable<OutputToken['topLogprobs']>): Record<string, number> {
  const byText = new Map<string, number>();
  for (const { text, logprob } of top) {
    if (!byText.has(text)) byText.set(text, finite(logprob));
  }
  return Object.fromEntries(byText);
}

/** The `logprobs` of /v1/chat/completions. */
export interface ChatLogprobs {
  readonly content: readonly (ChatTokenLogprob & {
    readonly top_logprobs: readonly ChatTokenLogprob[];
  })[];
  readonly refusal: null;
}

interface ChatTokenLogprob {
  readonly token: string;
  readonly logprob: number;
  /** The UTF-8 bytes of the token; null for a token that ends within a character. */
  readonly bytes: readonly number[] | null;
}

export function chatLogprobs(tokens: readonly OutputToken[]): ChatLogprobs {
  const content = tokens.map((token) => ({
    ...chatToken(token.text, token.logprob),
    top_logprobs: (token.topLogprobs ?? []).map((top) => chatToken(top.text, top.logprob)),
  }));
  return { content, refusal: null };
}

function chatToken(token: string, logprob: number | undefined): ChatTokenLogprob {
  const bytes = token.includes('\uFFFD') ? null : [...new TextEncoder().encode(token)];
  return { token, logprob: finite(logprob), bytes };
}

function finite(logprob: number | undefined): number {
  return logprob !== undefined && Number.isFinite(logprob) ? logprob : logprobMin;
}
