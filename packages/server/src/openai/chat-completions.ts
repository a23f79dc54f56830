import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { HttpContext } from '../http/http-context.js';
import { usageFields, type AnswerPlan } from './answers.js';
import { boundedList } from './bounded-list.js';
import { alternativesMax, commonFields, generateOptions, optional, text } from './common-fields.js';
import { chatLogprobs } from './logprobs.js';
import { checkModel } from './models.js';
import { invalid, parseBody } from './parse-body.js';
import { refuseUnsupported } from './refused-fields.js';
import { respond, type AnswerFormat } from './respond.js';

const messagesMax = 4096;
const partsMax = 256;

const textPart = z.object({ type: z.literal('text'), text });
const partsExpected = `a text or a list of 1 to ${partsMax} {"type":"text","text":…} parts`;
const content = z.union([text, boundedList(textPart, { max: partsMax, expected: partsExpected })], {
  error: `expected ${partsExpected}`,
});
const message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content,
});
const schema = z.object({
  ...commonFields,
  messages: boundedList(message, {
    max: messagesMax,
    expected: `a list of 1 to ${messagesMax} messages`,
  }),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.int().min(0).max(alternativesMax)),
});
type Fields = z.output<typeof schema>;

/** Answers POST /v1/chat/completions. */
export async function handleChatCompletion(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  refuseUnsupported(request.body);
  const fields = parseBody(schema, request.body);
  checkModel(context, fields.model);
  if (fields.top_logprobs !== undefined && fields.logprobs !== true) {
    throw invalid('top_logprobs', 'expected logprobs to be true beside it.');
  }
  const wanted = {
    plans: planAnswers(context, fields),
    format: chatFormat(context, fields),
    stream: fields.stream ?? false,
    includeUsage: fields.stream_options?.include_usage ?? false,
  };
  return respond({ context, request, reply }, wanted);
}

function planAnswers({ model }: HttpContext, fields: Fields): AnswerPlan[] {
  const prompt = model.encodeChat(fields.messages.map(plainMessage));
  const logprobs = fields.logprobs === true ? { logprobs: fields.top_logprobs ?? 0 } : {};
  return Array.from({ length: fields.n ?? 1 }, (_, index) => ({
    index,
    prompt,
    countsPrompt: index === 0,
    options: { ...generateOptions(fields, index), ...logprobs },
  }));
}

/** 'developer' is OpenAI's newer word for 'system', which templates know. */
function plainMessage({ role, content: given }: Fields['messages'][number]) {
  return {
    role: role === 'developer' ? 'system' : role,
    content: typeof given === 'string' ? given : given.map((part) => part.text).join(''),
  };
}

function chatFormat(context: HttpContext, fields: Fields): AnswerFormat {
  const head = {
    id: `chatcmpl-${context.newId()}`,
    created: Math.floor(context.clock.wallMs() / 1000),
    model: context.model.info.name,
    system_fingerprint: context.fingerprint,
  };
  const chunkHead = { ...head, object: 'chat.completion.chunk' };
  const wantsLogprobs = fields.logprobs === true;
  const begun = new Set<number>();
  return {
    id: head.id,
    chunks(plan, piece) {
      const choices: object[] = [];
      const choice = (delta: object, logprobs: object | null, finishReason: string | null) =>
        choices.push({ index: plan.index, delta, logprobs, finish_reason: finishReason });

      if (!begun.has(plan.index)) choice({ role: 'assistant', content: '' }, null, null);
      begun.add(plan.index);
      const showsTokens = wantsLogprobs && piece.tokens.length > 0;
      if (piece.text !== '' || showsTokens) {
        choice({ content: piece.text }, showsTokens ? chatLogprobs(piece.tokens) : null, null);
      }
      if (piece.finishReason !== undefined) choice({}, null, piece.finishReason);
      return choices.map((one) => ({ ...chunkHead, choices: [one] }));
    },
    usageChunk: (usage) => ({ ...chunkHead, choices: [], usage: usageFields(usage) }),
    body: (answers, usage) => ({
      ...head,
      object: 'chat.completion',
      choices: answers.map((answer) => ({
        index: answer.plan.index,
        message: { role: 'assistant', content: answer.text, refusal: null },
        logprobs: wantsLogprobs ? chatLogprobs(answer.tokens) : null,
        finish_reason: answer.finishReason,
      })),
      usage: usageFields(usage),
    }),
  };
}
