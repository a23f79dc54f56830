import type { LanguageModel } from '@megascale/engine';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { HttpContext } from '../http-context.js';
import { usageFields, type AnswerPlan } from './answers.js';
import { alternativesMax, commonFields, generateOptions, optional, text } from './common-fields.js';
import { completionLogprobs } from './logprobs.js';
import { checkModel } from './models.js';
import { invalid, parseBody } from './parse-body.js';
import { refuseUnsupported } from './refused-fields.js';
import { respond, type AnswerFormat } from './respond.js';

/** OpenAI's default for this endpoint. */
const maxTokensDefault = 16;
/** Sequences one request may start. */
const answersMax = 128;

const tokenIds = z.array(z.int().min(0)).min(1);
const prompt = z.union(
  [text, z.array(text).min(1).max(answersMax), tokenIds, z.array(tokenIds).min(1).max(answersMax)],
  { error: `expected a text, a list of token ids, or a list of at most ${answersMax} of either` },
);
const schema = z.object({
  ...commonFields,
  prompt,
  echo: optional(z.boolean()),
  logprobs: optional(z.int().min(0).max(alternativesMax)),
});
type Fields = z.output<typeof schema>;

/** POST /v1/completions */
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
    format: completionFormat(context, fields),
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
  const { vocabSize } = model.info;
  const tooLarge = prompts
    .flatMap((one) => (typeof one === 'string' ? [] : one))
    .find((tokenId) => tokenId >= vocabSize);
  if (tooLarge !== undefined) {
    throw invalid(
      'prompt',
      `expected token ids below the vocabulary size ${vocabSize}, found ${tooLarge}.`,
    );
  }
  return prompts.flatMap((one, promptIndex) =>
    Array.from({ length: answersPerPrompt }, (_, answerIndex) => ({
      index: promptIndex * answersPerPrompt + answerIndex,
      prompt: one,
      countsPrompt: answerIndex === 0,
      options: {
        ...defaultMaxTokens(model, one),
        ...generateOptions(fields, answerIndex),
        ...(fields.logprobs === undefined ? {} : { logprobs: fields.logprobs }),
      },
    })),
  );
}

/** The default shrinks near the end of the context: nobody asked for tokens that have no room. */
function defaultMaxTokens(
  model: LanguageModel,
  one: string | readonly number[],
): { maxTokens: number } {
  const promptTokens = typeof one === 'string' ? model.encode(one).length : one.length;
  const room = model.info.contextTokensMax - promptTokens;
  return { maxTokens: Math.max(1, Math.min(maxTokensDefault, room)) };
}

function listOfPrompts(given: Fields['prompt']): readonly (string | readonly number[])[] {
  if (typeof given === 'string') return [given];
  return isTokenIds(given) ? [given] : given;
}

function isTokenIds(given: readonly unknown[]): given is readonly number[] {
  return typeof given[0] === 'number';
}

function completionFormat(context: HttpContext, fields: Fields): AnswerFormat {
  const head = {
    id: `cmpl-${context.newId()}`,
    object: 'text_completion',
    created: Math.floor(context.clock.wallMs() / 1000),
    model: context.model.info.name,
    system_fingerprint: context.fingerprint,
  };
  const wantsLogprobs = fields.logprobs !== undefined;
  /** Length of the token texts already streamed, by answer: where the next token's text starts. */
  const offsets = new Map<number, number>();
  const begun = new Set<number>();
  const echoOf = (plan: AnswerPlan): string => {
    if (fields.echo !== true || begun.has(plan.index)) return '';
    begun.add(plan.index);
    return typeof plan.prompt === 'string' ? plan.prompt : context.model.detokenize(plan.prompt);
  };
  return {
    chunks(plan, piece) {
      const answerText = echoOf(plan) + piece.text;
      const finishReason = piece.finishReason ?? null;
      const showsTokens = wantsLogprobs && piece.tokens.length > 0;
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
        logprobs: wantsLogprobs ? completionLogprobs(answer.tokens, 0) : null,
        finish_reason: answer.finishReason,
      })),
      usage: usageFields(usage),
    }),
  };
}
