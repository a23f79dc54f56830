import { EventSourceParserStream } from 'eventsource-parser/stream';
import { presentFields } from '@megascale/core';
import type { ChatMessage } from '@megascale/engine';
import { askServer, type ServerFlags } from '../../flags/server-flags.js';
import { UsageError } from '../../output/usage-error.js';
import type { CliWorld } from '../../world.js';
import type { ChatPartner, ChatPiece, ChatSampling } from './chat-partner.js';

interface ModelList {
  readonly data?: readonly { readonly id: string }[];
}

/** One event of OpenAI's chat stream; a server that fails in mid-answer sends an error instead. */
interface ChatChunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly error?: { readonly message?: string };
}

export interface ServerChat extends ServerFlags {
  /** The model to ask for; absent: the first that the server lists. */
  readonly model?: string;
  readonly sampling: ChatSampling;
}

/**
 * Makes a server with OpenAI's chat API a chat partner.
 *
 * @throws UsageError when the server cannot be reached, refuses the key, or serves no model.
 */
export async function serverPartner(
  chat: ServerChat,
  world: Pick<CliWorld, 'readEnvironment'>,
): Promise<ChatPartner> {
  const model = chat.model ?? (await firstModel(chat, world));
  const key = chat.apiKey ?? world.readEnvironment().apiKey;
  const { maxTokens, temperature, topP, seed } = chat.sampling;
  const fields = {
    model,
    stream: true,
    ...presentFields({ max_tokens: maxTokens, temperature, top_p: topP, seed }),
  };
  const headers = {
    'content-type': 'application/json',
    ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
  };
  return {
    title: `${model} at ${chat.url}`,
    async *answer(messages: readonly ChatMessage[], signal: AbortSignal) {
      const body = JSON.stringify({ ...fields, messages });
      const request = { method: 'POST', headers, body, signal };
      const response = await reach(new URL('/v1/chat/completions', chat.url), request);
      yield* piecesOf(response);
    },
    close: () => Promise.resolve(),
  };
}

async function firstModel(
  chat: ServerChat,
  world: Pick<CliWorld, 'readEnvironment'>,
): Promise<string> {
  const { data = [] } = await askServer<ModelList>('/v1/models', chat, world);
  const [first] = data;
  if (first !== undefined) return first.id;
  throw new UsageError(`The server at ${chat.url} lists no models. Name one with --model.`);
}

async function reach(url: URL, request: RequestInit): Promise<Response> {
  try {
    return await fetch(url, request);
  } catch (cause) {
    const inner = cause instanceof Error ? (cause.cause ?? cause) : cause;
    const reason = inner instanceof Error ? inner.message : String(inner);
    throw new UsageError(`The server at ${url.origin} does not answer: ${reason}.`);
  }
}

async function* piecesOf(response: Response): AsyncGenerator<ChatPiece, void> {
  if (!response.ok || response.body === null) throw await refusalOf(response);
  const events = response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream());
  for await (const { data } of events) {
    if (data === '[DONE]') return;
    const { choices: [choice] = [], error } = parseChunk(data);
    if (error !== undefined) {
      throw new UsageError(error.message ?? 'The server failed in mid-answer.');
    }
    const finishReason = choice?.finish_reason ?? undefined;
    yield { text: choice?.delta?.content ?? '', ...presentFields({ finishReason }) };
  }
  throw new UsageError('The server closed the connection in mid-answer. Ask again.');
}

function parseChunk(data: string): ChatChunk {
  try {
    return JSON.parse(data) as ChatChunk;
  } catch {
    throw new UsageError(`The server sent an event that is not JSON: ${data.slice(0, 200)}`);
  }
}

async function refusalOf(response: Response): Promise<UsageError> {
  const body = (await response.json().catch(() => undefined)) as ChatChunk | undefined;
  return new UsageError(
    body?.error?.message ?? `The server answered with status ${response.status}.`,
  );
}
