import { connect, type AddressInfo } from 'node:net';
import { RequestError } from '@megascale/core';
import OpenAI, {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import { drain } from '../../src/http/drain.js';
import { scriptedServer, type Fixture } from '@megascale/server/testing';
import type { Script } from '@megascale/server/testing';
import { deferred } from '@megascale/core/testing';
import { until } from '@megascale/core/testing';

const opened: Fixture[] = [];

afterEach(async () => {
  await Promise.all(
    opened.splice(0).map(({ app }) => {
      app.server.closeAllConnections();
      return app.close();
    }),
  );
});

async function listening(script: Script = {}, options: Parameters<typeof scriptedServer>[1] = {}) {
  const fixture = scriptedServer(script, options);
  opened.push(fixture);
  await fixture.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = fixture.app.server.address() as AddressInfo;
  const baseURL = `http://127.0.0.1:${port}/v1`;
  const client = new OpenAI({ baseURL, apiKey: options.apiKey ?? 'none', maxRetries: 0 });
  return { ...fixture, client, baseURL, port };
}

const messages = [{ role: 'user' as const, content: 'hello' }];
const model = 'scripted';

describe('the official client', () => {
  it('lists and retrieves the model', async () => {
    const { client } = await listening();
    const { data } = await client.models.list();
    expect(data.map((entry) => entry.id)).toEqual([model]);
    expect(await client.models.retrieve(model)).toMatchObject({ id: model, object: 'model' });
  });

  it('chats, several answers with log-probabilities', async () => {
    const { client } = await listening();
    const answer = await client.chat.completions.create({
      model,
      messages,
      n: 2,
      max_completion_tokens: 3,
      logprobs: true,
      top_logprobs: 2,
    });
    expect(answer.choices.map((choice) => choice.message.content)).toEqual([' a b c', ' a b c']);
    expect(answer.choices[1]?.logprobs?.content?.[2]?.top_logprobs).toHaveLength(2);
    expect(answer.usage?.completion_tokens).toBe(6);
  });

  it('streams a chat to its usage', async () => {
    const { client } = await listening();
    const stream = await client.chat.completions.create({
      model,
      messages,
      max_completion_tokens: 3,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let outputTokens: number | undefined;
    const reasons: string[] = [];
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      if (chunk.choices[0]?.finish_reason != null) reasons.push(chunk.choices[0].finish_reason);
      outputTokens = chunk.usage?.completion_tokens ?? outputTokens;
    }
    expect({ text, reasons, outputTokens }).toEqual({
      text: ' a b c',
      reasons: ['length'],
      outputTokens: 3,
    });
  });

  it('understands the stream with its own assembling helper', async () => {
    const { client } = await listening();
    const runner = client.chat.completions.stream({
      model,
      messages,
      max_completion_tokens: 2,
      n: 2,
    });
    const { choices } = await runner.finalChatCompletion();
    expect(choices.map((choice) => choice.message.content)).toEqual([' a b', ' a b']);
  });

  it('completes, streamed or not, and stops before a stop text', async () => {
    const { client } = await listening();
    const request = { model, prompt: 'x', stop: ['c'] };
    const whole = await client.completions.create(request);
    expect(whole.choices[0]).toMatchObject({ text: ' a b', finish_reason: 'stop' });
    let text = '';
    for await (const chunk of await client.completions.create({ ...request, stream: true })) {
      text += chunk.choices[0]?.text ?? '';
    }
    expect(text).toBe(' a b');
  });

  it.each([
    ['ERR_CONTEXT_LENGTH', BadRequestError],
    ['ERR_QUEUE_FULL', RateLimitError],
    ['ERR_UNAVAILABLE', InternalServerError],
  ] as const)('throws its own class for %s', async (code, errorClass) => {
    const error = new RequestError(code, { message: 'No. Do otherwise.' });
    const { client } = await listening({ failure: { afterTokens: 0, error } });
    const failed = client.chat.completions.create({ model, messages });
    await expect(failed).rejects.toBeInstanceOf(errorClass);
    await expect(failed).rejects.toMatchObject({ code });
  });

  it('throws its own class for a wrong model and a wrong key', async () => {
    const { client, baseURL } = await listening({}, { apiKey: 'right' });
    await expect(client.models.retrieve('other')).rejects.toBeInstanceOf(NotFoundError);
    const stranger = new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(AuthenticationError);
  });

  it('throws what breaks a stream in the middle', async () => {
    const error = new RequestError('ERR_UNAVAILABLE', { message: 'A worker was lost. Retry.' });
    const { client } = await listening({ failure: { afterTokens: 2, error } });
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    let text = '';
    const read = async (): Promise<void> => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    };
    await expect(read()).rejects.toBeInstanceOf(APIError);
    expect(text).toBe(' a b');
  });
});

describe('a client that leaves', () => {
  const forever = (index: number): Promise<void> =>
    index < 2 ? Promise.resolve() : new Promise(() => undefined);

  it('in mid-stream frees its sequences at once', async () => {
    const { client, model: scripted, app } = await listening({ pause: forever });
    const stream = await client.chat.completions.create({ model, messages, stream: true, n: 2 });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content === ' b') break;
    }
    await until(() => scripted.abortedCount === 2);
    expect(scripted.running).toBe(0);
    const { body } = await app.inject('/metrics');
    expect(body).toContain('megascale_request_failure_total{code="ERR_ABORTED"} 1');
  });

  it('while it waits for a whole answer frees it too', async () => {
    const { client, model: scripted } = await listening({ pause: forever });
    const abort = new AbortController();
    const answer = client.chat.completions.create({ model, messages }, { signal: abort.signal });
    await until(() => scripted.running === 1);
    abort.abort();
    await expect(answer).rejects.toThrow();
    await until(() => scripted.abortedCount === 1);
    expect(scripted.running).toBe(0);
  });

  it('by not reading any more is taken for gone after a while', async () => {
    // One token of a megabyte fills every buffer on the way, so the second is never asked for.
    const tokens = ['x'.repeat(1 << 20)];
    const info = { maxModelLen: 1000 };
    const { model: scripted, port } = await listening({ tokens, info }, { stalledReaderMs: 50 });
    const socket = connect(port, '127.0.0.1');
    const body = JSON.stringify({ prompt: 'x', max_tokens: 900, stream: true });
    socket.pause();
    socket.on('error', () => undefined);
    socket.write(
      `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => scripted.abortedCount === 1);
    socket.destroy();
    expect(scripted.running).toBe(0);
  });
});

describe('bytes that are no request', () => {
  it('are answered in the same shape', async () => {
    const { port } = await listening();
    const socket = connect(port, '127.0.0.1');
    socket.end('HELLO?\r\n\r\n');
    let received = '';
    for await (const data of socket) received += String(data);
    expect(received).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(JSON.parse(received.slice(received.indexOf('{')))).toMatchObject({
      error: { type: 'invalid_request_error', code: 'ERR_REQUEST_INVALID' },
    });
  });
});

describe('a stream', () => {
  it('of a slow model is kept alive with comments, before and after its first token', async () => {
    const gates = [deferred(), deferred()];
    const pause = (index: number) => gates[index]?.promise ?? Promise.resolve();
    const { baseURL } = await listening({ pause }, { keepAliveMs: 10 });
    const response = await fetch(`${baseURL}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'x', max_tokens: 2, stream: true }),
    });
    expect(response.status).toBe(200);
    let received = '';
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      received += decoder.decode(bytes as Uint8Array);
      if (received.includes(': keep-alive')) gates[0]?.resolve();
      if (/" a"[^]*: keep-alive/.test(received)) gates[1]?.resolve();
    }
    const events = received.split('\n\n').filter((event) => !event.startsWith(':'));
    expect(events).toHaveLength(4);
    expect(events[2]).toBe('data: [DONE]');
  });
});

describe('drain', () => {
  it('finishes what runs, refuses what comes, and ends though clients keep their connections', async () => {
    const gate = deferred();
    const pause = (index: number) => (index === 1 ? gate.promise : Promise.resolve());
    const { client, app, model: scripted } = await listening({ pause });
    const stream = await client.completions.create({
      model,
      prompt: 'x',
      max_tokens: 2,
      stream: true,
    });
    await until(() => scripted.running === 1);
    const drained = drain(app, scripted, { drainMs: 5000 });
    await expect(client.completions.create({ model, prompt: 'y' })).rejects.toThrow();
    gate.resolve();
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.text ?? '';
    await drained;
    expect(text).toBe(' a b');
    expect(scripted.closedWithDrainMs).toBe(5000);
    expect(scripted.calls).toHaveLength(1);
  });
});
