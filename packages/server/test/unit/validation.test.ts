import { describe, expect, it } from 'vitest';
import { chatUrl, completionUrl, hello, post, scriptedServer } from '@megascale/server/testing';

const chat = (fields: object) => [chatUrl, { messages: hello, ...fields }] as const;
const completion = (fields: object) => [completionUrl, { prompt: 'x', ...fields }] as const;

interface ErrorShape {
  readonly error: { message: string; type: string; param: string | null; code: string };
}

describe('a bad field', () => {
  it.each([
    ['max_tokens', chat({ max_tokens: -3 })],
    ['max_tokens', chat({ max_tokens: 0 })],
    ['max_tokens', completion({ max_tokens: 1.5 })],
    ['max_tokens', completion({ max_tokens: '8' })],
    ['max_completion_tokens', chat({ max_completion_tokens: -1 })],
    ['temperature', chat({ temperature: -0.1 })],
    ['temperature', chat({ temperature: 2.1 })],
    ['temperature', completion({ temperature: 'hot' })],
    ['top_p', chat({ top_p: 1.1 })],
    ['top_k', chat({ top_k: -2 })],
    ['min_p', chat({ min_p: 2 })],
    ['seed', chat({ seed: 0.5 })],
    ['seed', chat({ seed: 2 ** 53 })],
    ['n', chat({ n: 0 })],
    ['n', chat({ n: 17 })],
    ['n', completion({ prompt: Array(9).fill('x'), n: 16 })],
    ['stop', chat({ stop: '' })],
    ['stop', chat({ stop: ['a', ''] })],
    ['stop', chat({ stop: Array(17).fill('a') })],
    ['stop', chat({ stop: 7 })],
    ['stream', chat({ stream: 'yes' })],
    ['stream_options.include_usage', chat({ stream: true, stream_options: { include_usage: 1 } })],
    ['ignore_eos', chat({ ignore_eos: 1 })],
    ['logprobs', completion({ logprobs: 21 })],
    ['logprobs', completion({ logprobs: true })],
    ['logprobs', chat({ logprobs: 3 })],
    ['top_logprobs', chat({ logprobs: true, top_logprobs: 21 })],
    ['top_logprobs', chat({ top_logprobs: 2 })],
    ['echo', completion({ echo: true, logprobs: 1 })],
    ['prompt', completion({ prompt: undefined })],
    ['prompt', completion({ prompt: [] })],
    ['prompt', completion({ prompt: [[]] })],
    ['prompt', completion({ prompt: [1, -2] })],
    ['prompt', completion({ prompt: [1, 'x'] })],
    ['prompt', completion({ prompt: [0x110000] })],
    ['prompt', completion({ prompt: '\ud800' })],
    ['messages', chat({ messages: undefined })],
    ['messages', chat({ messages: [] })],
    ['messages', chat({ messages: 'hello' })],
    ['messages[0].role', chat({ messages: [{ role: 'wizard', content: 'x' }] })],
    ['messages[1].content', chat({ messages: [...hello, { role: 'user' }] })],
    [
      'messages[0].content',
      chat({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] }),
    ],
    ['frequency_penalty', chat({ frequency_penalty: 0.5 })],
    ['presence_penalty', completion({ presence_penalty: -1 })],
    ['repetition_penalty', chat({ repetition_penalty: 1.1 })],
    ['logit_bias', chat({ logit_bias: { 5: 1 } })],
    ['best_of', completion({ best_of: 2 })],
    ['suffix', completion({ suffix: 'end' })],
    ['tools', chat({ tools: [{ type: 'function' }] })],
    ['response_format', chat({ response_format: { type: 'json_object' } })],
  ] as const)('%s is refused by name: %j', async (param, [url, body]) => {
    const fixture = scriptedServer();
    const response = await post(fixture, url, body);
    expect(response.statusCode).toBe(400);
    const { error } = response.json<ErrorShape>();
    expect(error).toMatchObject({
      type: 'invalid_request_error',
      param,
      code: 'ERR_REQUEST_INVALID',
    });
    expect(error.message.startsWith(`${param}: `)).toBe(true);
    expect(fixture.model.calls).toEqual([]);
  });

  it('is shown with what was expected and what was found', async () => {
    const response = await post(scriptedServer(), ...chat({ max_tokens: -3 }));
    const { error } = response.json<ErrorShape>();
    expect(error.message).toBe('max_tokens: expected at least 1, found -3.');
  });
});

describe('a request', () => {
  it.each([
    chat({ foo: 1, user: 'me', metadata: { a: 1 } }),
    chat({ temperature: null, top_p: null, stop: null, n: null, max_tokens: null, seed: null }),
    chat({ frequency_penalty: 0, presence_penalty: 0, logit_bias: {}, tools: [] }),
    chat({ response_format: { type: 'text' }, tool_choice: 'none' }),
    chat({ model: 'scripted' }),
    chat({ messages: [{ role: 'developer', content: [{ type: 'text', text: 'x' }] }] }),
    completion({ best_of: 1, suffix: null }),
  ])('with ignored, null or neutral fields is served: %j', async (url, body) => {
    const response = await post(scriptedServer(), url, { ...body, max_tokens: 1 });
    expect(response.statusCode).toBe(200);
  });

  it.each([
    ['max_tokens', chat({ max_tokens: 5 }), { maxTokens: 5 }],
    ['max_completion_tokens', chat({ max_tokens: 9, max_completion_tokens: 5 }), { maxTokens: 5 }],
    ['no max_tokens, chat', chat({}), {}],
    ['no max_tokens, completions', completion({}), { maxTokens: 16 }],
    ['less room than the default', completion({ prompt: 'x'.repeat(94) }), { maxTokens: 5 }],
    ['temperature 0', chat({ temperature: 0 }), { temperature: 0 }],
    ['top_p 0', chat({ top_p: 0 }), { topP: 1e-9 }],
    ['top_k -1', chat({ top_k: -1 }), { topK: 0 }],
    ['min_p', chat({ min_p: 0.1 }), { minP: 0.1 }],
    ['seed', chat({ seed: -4 }), { seed: -4 }],
    ['one stop', chat({ stop: '!' }), { stop: ['!'] }],
    ['stops', chat({ stop: ['!', '?'] }), { stop: ['!', '?'] }],
    ['ignore_eos', chat({ ignore_eos: true }), { ignoreEos: true }],
    ['completion logprobs', completion({ logprobs: 0 }), { maxTokens: 16, logprobs: 0 }],
    ['chat logprobs', chat({ logprobs: true }), { logprobs: 0 }],
    ['top_logprobs', chat({ logprobs: true, top_logprobs: 4 }), { logprobs: 4 }],
  ] as const)(
    'hands the engine what was given and nothing else: %s',
    async (_, [url, body], options) => {
      const fixture = scriptedServer();
      expect((await post(fixture, url, body)).statusCode).toBe(200);
      const { signal, requestId, ...given } = fixture.model.calls[0]?.options ?? {};
      expect(requestId).toMatch(/cmpl-/);
      expect(signal).toBeInstanceOf(AbortSignal);
      expect(given).toEqual(options);
    },
  );

  it('passes on whole characters of every plane', async () => {
    const fixture = scriptedServer();
    await post(fixture, ...completion({ prompt: 'a😀é' }));
    expect(fixture.model.calls[0]?.prompt).toEqual([1, 0x61, 0x1f600, 0xe9]);
  });
});

describe('a body', () => {
  const inject = (payload: Buffer | string, contentType = 'application/json') =>
    scriptedServer({}, { bodyBytesMax: 1000 }).app.inject({
      method: 'POST',
      url: completionUrl,
      headers: { 'content-type': contentType },
      payload,
    });

  it.each([
    ['no JSON', 400, '{"prompt":'],
    ['an empty body', 400, ''],
    ['a list', 400, '[1]'],
    ['null', 400, 'null'],
    ['deep nesting', 400, '['.repeat(900)],
    ['invalid UTF-8', 400, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['too many bytes', 413, `{"prompt":"${'x'.repeat(2000)}"}`],
  ])('of %s is refused with %i', async (_, status, payload) => {
    const response = await inject(payload);
    expect(response.statusCode).toBe(status);
    const { error } = response.json<ErrorShape>();
    expect(error).toMatchObject({
      type: 'invalid_request_error',
      param: null,
      code: 'ERR_REQUEST_INVALID',
    });
  });

  it('of another type is refused with 415', async () => {
    const response = await inject('prompt=x', 'application/x-www-form-urlencoded');
    expect(response.statusCode).toBe(415);
    expect(response.json<ErrorShape>().error.code).toBe('ERR_REQUEST_INVALID');
  });

  it('may carry a charset and a byte order mark', async () => {
    const response = await inject('\ufeff{"prompt":"x"}', 'application/json; charset=utf-8');
    expect(response.statusCode).toBe(200);
  });
});
