import type { Clock } from '@megascale/core';
import type { GenerateOptions, LanguageModel, OutputToken, Usage } from '@megascale/engine';

export interface PromptResult {
  readonly tokens: readonly number[];
  readonly text: string;
  readonly finishReason: 'stop' | 'length';
  readonly usage: Usage;
  readonly timing: Timing;
  /** One entry per token; present where the options ask for log-probabilities. */
  readonly logprobs?: readonly OutputToken[];
}

/** Milliseconds, as this program measured them. */
export interface Timing {
  readonly ttftMs: number;
  /** Null for a single token. */
  readonly tpotMs: number | null;
  readonly e2eMs: number;
}

export interface PromptRun {
  readonly options: GenerateOptions;
  readonly clock: Clock;
  /** Receives the text as it comes. */
  readonly onText?: ((text: string) => void) | undefined;
}

/** Generates one answer and measures it. */
export async function runPrompt(
  model: LanguageModel,
  prompt: string | readonly number[],
  { options, clock, onText }: PromptRun,
): Promise<PromptResult> {
  const startUs = clock.nowUs();
  let firstUs: number | undefined;
  let lastUs = startUs;
  let text = '';
  const tokens: OutputToken[] = [];
  for await (const piece of model.generate(prompt, options)) {
    if (piece.tokens.length > 0) {
      lastUs = clock.nowUs();
      firstUs ??= lastUs;
    }
    text += piece.text;
    tokens.push(...piece.tokens);
    if (piece.text !== '') onText?.(piece.text);
    const { finishReason, usage } = piece;
    if (finishReason === undefined || usage === undefined) continue;
    const times = { startUs, firstUs: firstUs ?? lastUs, lastUs };
    return {
      tokens: tokens.map((token) => token.id),
      text,
      finishReason,
      usage,
      timing: timingOf(times, tokens.length),
      ...(options.logprobs === undefined ? {} : { logprobs: tokens }),
    };
  }
  throw new Error('The answer ended without a finish reason.');
}

function timingOf(
  times: { readonly startUs: number; readonly firstUs: number; readonly lastUs: number },
  outputTokens: number,
): Timing {
  const { startUs, firstUs, lastUs } = times;
  const milliseconds = (us: number): number => Math.round(us) / 1000;
  return {
    ttftMs: milliseconds(firstUs - startUs),
    tpotMs: outputTokens < 2 ? null : milliseconds((lastUs - firstUs) / (outputTokens - 1)),
    e2eMs: milliseconds(lastUs - startUs),
  };
}
