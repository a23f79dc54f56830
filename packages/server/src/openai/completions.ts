import type { LanguageModel } from '@megascale/engine';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { HttpContext } from '../http/http-context.js';
import type { AnswerPlan } from './answers.js';
import { boundedList, tokenIdList } from './bounded-list.js';
import { completionFormat } from './completion-format.js';
import { alternativesMax, commonFields, generateOptions, optional, text } from './common-fields.js';
import { checkModel } from './models.js';
import { invalid, parseBody } from './parse-body.js';
import { refuseUnsupported } from './refused-fields.js';
import { respond } from './respond.js';

/** OpenAI's default for this endpoint. */
const maxTokensDefault = 16;
/** The most sequences that one request may start. */
const answersMax = 128;

const tokenIds = tokenIdList({ max: Infinity, expected: 'a list of token ids' });
const expected = `a text, a list of token ids, or a list of at most ${answersMax} of either`;
const limits = { max: answersMax, expected };
const prompt = z.union([text, boundedList(text, limits), tokenIds, boundedList(tokenIds, limits)], {
  error: `expected ${expected}`,
});
const schema = z.object({
  ...commonFields,
  prompt,
  echo: optional(z.boolean()),
  logprobs: optional(z.int().min(0).max(alternativesMax)),
});
type Fields = z.output<typeof schema>;

/** Answers POST /v1/completions. */
export async function handleCompletion(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  refuseUnsupported(request.body);
  const fields = parseBody(schema, request.body);
  checkModel(context, fields.model);
  if (fields.echo === true && fields.logprobs !== undefined) {
    throw invalid(
      'echo',
      'log-probabilities of the prompt are not computed; leave out one of echo and logprobs.',
    );
  }
  const plans = planAnswers(context, fields);
  const wanted = {
    plans,
    format: completionFormat(context, {
      echo: fields.echo ?? false,
      logprobs: fields.logprobs !== undefined,
    }),
    stream: fields.stream ?? false,
    includeUsage: fields.stream_options?.include_usage ?? false,
  };
  return respond({ context, request, reply }, wanted);
}

function planAnswers({ model }: HttpContext, fields: Fields): AnswerPlan[] {
  const prompts = listOfPrompts(fields.prompt);
  const answersPerPrompt = fields.n ?? 1;
  if (prompts.length * answersPerPrompt > answersMax) {
    throw invalid(
      'n',
      `expected at most ${answersMax} answers in all, found ${prompts.length} prompts × ${answersPerPrompt}.`,
    );
  }
  return prompts.flatMap((given, promptIndex) => {
    const tokens = promptTokens(model, given);
    return Array.from({ length: answersPerPrompt }, (_, answerIndex) => ({
      index: promptIndex * answersPerPrompt + answerIndex,
      prompt: tokens,
      ...(typeof given === 'string' ? { promptText: given } : {}),
      countsPrompt: answerIndex === 0,
      options: {
        maxTokens: defaultMaxTokens(model, tokens.length),
        ...generateOptions(fields, answerIndex),
        ...(fields.logprobs === undefined ? {} : { logprobs: fields.logprobs }),
      },
    }));
  });
}

function listOfPrompts(given: Fields['prompt']): readonly (string | readonly number[])[] {
  if (typeof given === 'string') return [given];
  return isTokenIds(given) ? [given] : given;
}

function isTokenIds(given: readonly unknown[]): given is readonly number[] {
  return typeof given[0] === 'number';
}

function promptTokens(model: LanguageModel, given: string | readonly number[]): readonly number[] {
  if (typeof given === 'string') return model.encode(given);
  const { vocabSize } = model.info;
  const tooLarge = given.find((tokenId) => tokenId >= vocabSize);
  if (tooLarge === undefined) return given;
  throw invalid(
    'prompt',
    `expected token ids below the vocabulary size ${vocabSize}, found ${tooLarge}.`,
  );
}

/** Returns the default of `max_tokens`, or the room that the context leaves where that is less. */
function defaultMaxTokens({ info }: LanguageModel, promptLength: number): number {
  return Math.max(1, Math.min(maxTokensDefault, info.maxModelLen - promptLength));
}
