import { MegascaleError } from '@megascale/core';
import type { OutputToken, Piece, Usage } from '@megascale/engine';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { clientAbort } from '../http/client-abort.js';
import type { HttpContext } from '../http/http-context.js';
import { runAnswers, type AnswerPlan, type RunOptions } from './answers.js';
import { errorResponse } from './error-response.js';
import { EventStream } from './sse.js';

/** The form in which one endpoint sends its answers. */
export interface AnswerFormat {
  /** The response's id, which `megascale why` takes. */
  readonly id: string;
  /** Returns the events for one piece of one answer; none where the piece has nothing new. */
  chunks(plan: AnswerPlan, piece: Piece): readonly object[];
  /** Returns the last event of a stream whose request asks for the usage. */
  usageChunk(usage: Usage): object;
  /** Returns the body of a response that is not streamed. */
  body(answers: readonly WholeAnswer[], usage: Usage): object;
}

export interface WholeAnswer {
  readonly plan: AnswerPlan;
  readonly text: string;
  readonly tokens: readonly OutputToken[];
  readonly finishReason: string;
}

export interface AnswerRequest {
  readonly plans: readonly AnswerPlan[];
  readonly format: AnswerFormat;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

interface Exchange {
  readonly context: HttpContext;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** Runs the answers and sends them, streamed or whole. It aborts them when the client leaves. */
export async function respond(exchange: Exchange, wanted: AnswerRequest): Promise<unknown> {
  const { context, reply } = exchange;
  const run = {
    context,
    requestId: wanted.format.id,
    abort: clientAbort(reply),
    receivedUs: context.clock.nowUs(),
  };
  if (!wanted.stream) return respondWhole(run, wanted);
  await respondStreamed(exchange, run, wanted);
  return reply;
}

type Run = Omit<RunOptions, 'onPiece'>;

async function respondWhole(run: Run, { plans, format }: AnswerRequest): Promise<object> {
  const pieces = new Map<AnswerPlan, Piece[]>(plans.map((plan) => [plan, []]));
  const onPiece = (plan: AnswerPlan, piece: Piece): void => {
    pieces.get(plan)?.push(piece);
  };
  const usage = await runAnswers(plans, { ...run, onPiece });
  const answers = [...pieces].map(([plan, ofPlan]) => ({
    plan,
    text: ofPlan.map((piece) => piece.text).join(''),
    tokens: ofPlan.flatMap((piece) => piece.tokens),
    finishReason: ofPlan.at(-1)?.finishReason ?? 'stop',
  }));
  return format.body(answers, usage);
}

async function respondStreamed(
  { context, request, reply }: Exchange,
  run: Run,
  { plans, format, includeUsage }: AnswerRequest,
): Promise<void> {
  const stream = new EventStream(reply, context);
  // Every chunk then has the field, null until the last.
  const withUsage = (chunk: object): object => (includeUsage ? { ...chunk, usage: null } : chunk);
  const onPiece = async (plan: AnswerPlan, piece: Piece): Promise<void> => {
    for (const chunk of format.chunks(plan, piece)) await stream.send(withUsage(chunk));
  };
  try {
    const usage = await runAnswers(plans, { ...run, onPiece });
    if (includeUsage) await stream.send(format.usageChunk(usage));
    stream.finish();
  } catch (error) {
    if (!stream.started) throw error;
    const { body, status } = errorResponse(error, request.id);
    context.metrics.countFailure(body.error.code);
    if (!MegascaleError.isInstance(error))
      request.log.error({ err: error, status }, 'stream failed');
    stream.fail(body);
  } finally {
    stream.close();
  }
}
