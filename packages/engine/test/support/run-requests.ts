import { fileURLToPath } from 'node:url';
import type { GenerateOptions, LanguageModel, Piece } from '../../src/spec/language-model.js';

/** The model in the repository. */
export const dictionary = fileURLToPath(new URL('../../../../models/dictionary', import.meta.url));

export interface TestRequest {
  readonly prompt: string | readonly number[];
  readonly options: GenerateOptions;
}

export interface Answer {
  readonly tokens: readonly number[];
  readonly text: string;
  readonly last: Piece | undefined;
}

/** Sends all requests at once and collects every answer to its end. */
export function runRequests(
  llm: LanguageModel,
  requests: readonly TestRequest[],
): Promise<Answer[]> {
  return Promise.all(requests.map(({ prompt, options }) => collect(llm, prompt, options)));
}

export async function collect(
  llm: LanguageModel,
  prompt: string | readonly number[],
  options: GenerateOptions,
): Promise<Answer> {
  const pieces: Piece[] = [];
  for await (const piece of llm.generate(prompt, options)) pieces.push(piece);
  return {
    tokens: pieces.flatMap((piece) => piece.tokens.map(({ id }) => id)),
    text: pieces.map(({ text }) => text).join(''),
    last: pieces.at(-1),
  };
}

/**
 * `count` requests of mixed prompt lengths (1 … 120 tokens) and output lengths, half greedy, half
 * sampled with a seed.
 */
export function mixedRequests(count: number, vocabSize: number): TestRequest[] {
  return Array.from({ length: count }, (_, index) => {
    const promptTokens = index === 0 ? 1 : 1 + ((index * 37) % 120);
    const prompt = Array.from(
      { length: promptTokens },
      (__, position) => 5 + ((index * 7919 + position * 104729) % (vocabSize - 5)),
    );
    const sampled = index % 2 === 1;
    return {
      prompt,
      options: {
        maxTokens: 4 + ((index * 5) % 21),
        ignoreEos: true,
        ...(sampled
          ? { temperature: 0.9, topK: 50, topP: 0.95, seed: 1000 + index }
          : { temperature: 0 }),
      },
    };
  });
}
