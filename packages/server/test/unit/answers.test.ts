import { RequestError } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import {
  chatUrl,
  completionUrl,
  eventsOf,
  hello,
  post,
  scriptedServer,
} from '@megascale/server/testing';

const usage = (prompt: number, output: number) => ({
  prompt_tokens: prompt,
  completion_tokens: output,
  total_tokens: prompt + output,
  prompt_tokens_details: { cached_tokens: 0 },
});

describe('POST /v1/completions', () => {
  it('answers with the text, why it ended and what it took', async () => {
    const response = await post(scriptedServer(), completionUrl, { prompt: 'x', max_tokens: 2 });
    expect(response.json()).toEqual({
      id: 'cmpl-2',
      object: 'text_completion',
      created: 1_700_000_000,
      model: 'scripted',
      system_fingerprint: expect.stringMatching(/^fp_[0-9a-f]{12}$/) as string,
      choices: [{ index: 0, text: ' a b', logprobs: null, finish_reason: 'length' }],
      usage: usage(2, 2),
    });
  });

  it('ends before a stop text', async () => {
    const response = await post(scriptedServer(), completionUrl, { prompt: 'x', stop: 'b' });
    expect(response.json()).toMatchObject({ choices: [{ text: ' a', finish_reason: 'stop' }] });
  });

  it('gives n answers per prompt, prompt by prompt, each with a seed of its own', async () => {
    const fixture = scriptedServer();
    const body = { prompt: ['x', 'yz'], n: 2, seed: 7, max_tokens: 1 };
    const answer = (await post(fixture, completionUrl, body)).json<{
      choices: { index: number }[];
    }>();
    expect(answer.choices.map((choice) => choice.index)).toEqual([0, 1, 2, 3]);
    expect(fixture.model.calls.map(({ prompt, options }) => [prompt, options.seed])).toEqual([
      [[1, 120], 7],
      [[1, 120], 8],
      [[1, 121, 122], 7],
      [[1, 121, 122], 8],
    ]);
    // A prompt's tokens count once, its answers' tokens each.
    expect(answer).toMatchObject({ usage: usage(2 + 3, 4) });
  });

  it.each([
    ['a text', 'hi', [[1, 104, 105]], ['hi a']],
    ['token ids', [104, 105], [[104, 105]], ['hi a']],
    ['lists of token ids', [[104], [105]], [[104], [105]], ['h a', 'i a']],
  ])('takes %s and puts it in front when echo is asked for', async (_, prompt, asked, texts) => {
    const fixture = scriptedServer();
    const response = await post(fixture, completionUrl, { prompt, echo: true, max_tokens: 1 });
    expect(fixture.model.calls.map((call) => call.prompt)).toEqual(asked);
    const { choices } = response.json<{ choices: { text: string }[] }>();
    expect(choices.map((choice) => choice.text)).toEqual(texts);
  });

  it('lists log-probabilities in parallel, with -9999 for what JSON cannot say', async () => {
    const body = { prompt: 'x', max_tokens: 2, logprobs: 3 };
    const response = await post(scriptedServer(), completionUrl, body);
    expect(response.json()).toMatchObject({
      choices: [
        {
          logprobs: {
            tokens: [' a', ' b'],
            token_logprobs: [-0.5, -0.5],
            top_logprobs: [
              { ' a': -0.5, '~1': -1.5, '~2': -9999 },
              { ' b': -0.5, '~1': -1.5, '~2': -9999 },
            ],
            text_offset: [0, 2],
          },
        },
      ],
    });
  });

  it('streams the same text, prompt first when echoed', async () => {
    const body = { prompt: 'x', max_tokens: 2, stream: true, echo: true };
    const events = eventsOf(await post(scriptedServer(), completionUrl, body));
    const choice = (text: string, finishReason: string | null) => ({
      id: 'cmpl-2',
      object: 'text_completion',
      choices: [{ index: 0, text, logprobs: null, finish_reason: finishReason }],
    });
    expect(events).toMatchObject([choice('x a', null), choice(' b', 'length'), '[DONE]']);
  });

  it('streams text offsets that go on from chunk to chunk', async () => {
    const body = { prompt: 'x', max_tokens: 3, stream: true, logprobs: 0 };
    const events = eventsOf(await post(scriptedServer(), completionUrl, body));
    const offsets = [[0], [2], [4]].map((offset) => ({
      choices: [{ logprobs: { text_offset: offset } }],
    }));
    expect(events).toMatchObject([...offsets, '[DONE]']);
  });
});

describe('POST /v1/chat/completions', () => {
  it('answers as the assistant', async () => {
    const body = { messages: hello, max_tokens: 2 };
    expect((await post(scriptedServer(), chatUrl, body)).json()).toMatchObject({
      id: 'chatcmpl-2',
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: ' a b', refusal: null },
          logprobs: null,
          finish_reason: 'length',
        },
      ],
      usage: usage('<user>hello'.length, 2),
    });
  });

  it('renders the template and lets it alone choose the special tokens', async () => {
    const fixture = scriptedServer();
    const messages = [
      { role: 'developer', content: 'be brief' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
    ];
    await post(fixture, chatUrl, { messages, max_tokens: 1 });
    const prompt = fixture.model.calls[0]?.prompt as number[];
    expect(String.fromCodePoint(...prompt)).toBe('<system>be brief<user>ab');
  });

  it('says so when the model has no chat template', async () => {
    const response = await post(scriptedServer({ info: { hasChatTemplate: false } }), chatUrl, {
      messages: hello,
    });
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({ error: { param: 'messages' } });
  });

  it('lists log-probabilities per token, with bytes where the token is whole characters', async () => {
    const fixture = scriptedServer({ tokens: [' é', '\uFFFD'] });
    const body = { messages: hello, max_tokens: 2, logprobs: true, top_logprobs: 1 };
    const { choices } = (await post(fixture, chatUrl, body)).json<{ choices: unknown[] }>();
    const entry = (token: string, bytes: number[] | null) => ({
      token,
      logprob: -0.5,
      bytes,
      top_logprobs: [{ token, logprob: -0.5, bytes }],
    });
    expect(choices).toMatchObject([
      { logprobs: { content: [entry(' é', [32, 195, 169]), entry('\uFFFD', null)] } },
    ]);
  });

  it('streams the role, the text, the reason, the usage and [DONE]', async () => {
    const body = {
      messages: hello,
      max_tokens: 2,
      stream: true,
      stream_options: { include_usage: true },
    };
    const response = await post(scriptedServer(), chatUrl, body);
    expect(response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-request-id': '1',
    });
    const chunk = (delta: object, finishReason: string | null) => ({
      id: 'chatcmpl-2',
      object: 'chat.completion.chunk',
      created: 1_700_000_000,
      model: 'scripted',
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
      usage: null,
    });
    expect(eventsOf(response)).toMatchObject([
      chunk({ role: 'assistant', content: '' }, null),
      chunk({ content: ' a' }, null),
      chunk({ content: ' b' }, null),
      chunk({}, 'length'),
      { choices: [], usage: usage('<user>hello'.length, 2) },
      '[DONE]',
    ]);
  });

  it('streams n answers side by side', async () => {
    const body = { messages: hello, max_tokens: 2, stream: true, n: 3 };
    const events = eventsOf(await post(scriptedServer(), chatUrl, body));
    const choices = events
      .filter((event) => event !== '[DONE]')
      .flatMap((event) => (event as { choices: { index: number; delta: object }[] }).choices);
    for (const index of [0, 1, 2]) {
      const ofAnswer = choices.filter((choice) => choice.index === index);
      expect(ofAnswer.map((choice) => choice.delta)).toEqual([
        { role: 'assistant', content: '' },
        { content: ' a' },
        { content: ' b' },
        {},
      ]);
    }
  });

  it('has no usage field in chunks when it was not asked for', async () => {
    const body = { messages: hello, max_tokens: 1, stream: true };
    const events = eventsOf(await post(scriptedServer(), chatUrl, body));
    expect(
      events.some((event) => typeof event === 'object' && event !== null && 'usage' in event),
    ).toBe(false);
  });
});

describe('an answer that fails', () => {
  const queueFull = new RequestError('ERR_QUEUE_FULL', {
    message: 'The queue is full. Come back.',
  });

  it.each([true, false])(
    'before its first token has its own status (stream: %s)',
    async (stream) => {
      const fixture = scriptedServer({ failure: { afterTokens: 0, error: queueFull } });
      const response = await post(fixture, chatUrl, { messages: hello, stream });
      expect(response.statusCode).toBe(429);
      expect(response.headers).toMatchObject({ 'retry-after': '1' });
      expect(response.json()).toEqual({
        error: {
          message: 'The queue is full. Come back.',
          type: 'rate_limit_error',
          param: null,
          code: 'ERR_QUEUE_FULL',
        },
      });
    },
  );

  it('in mid-stream ends the stream with an error event and without [DONE]', async () => {
    const lost = new RequestError('ERR_UNAVAILABLE', { message: 'A worker was lost. Retry.' });
    const fixture = scriptedServer({ failure: { afterTokens: 1, error: lost } });
    const response = await post(fixture, chatUrl, { messages: hello, stream: true });
    expect(response.statusCode).toBe(200);
    expect(eventsOf(response).slice(-1)).toEqual([
      {
        error: {
          message: 'A worker was lost. Retry.',
          type: 'server_error',
          param: null,
          code: 'ERR_UNAVAILABLE',
        },
      },
    ]);
  });

  it('takes the other answers of its request with it', async () => {
    const error = new RequestError('ERR_UNAVAILABLE', { message: 'Gone. Retry.' });
    let started = 0;
    const fixture = scriptedServer({
      failure: { afterTokens: 1, error },
      // Only the first answer gets as far as its failure; the others wait for ever.
      pause: () =>
        (started += 1) === 4
          ? Promise.resolve()
          : started > 4
            ? new Promise(() => undefined)
            : Promise.resolve(),
    });
    const response = await post(fixture, chatUrl, { messages: hello, n: 3 });
    expect(response.statusCode).toBe(503);
    expect(response.headers).toMatchObject({ 'retry-after': '5' });
    expect(fixture.model.running).toBe(0);
    expect(fixture.model.abortedCount).toBe(3);
  });

  it('for an unknown reason is a 500 that tells nothing of the inside', async () => {
    const error = new Error('secret path /etc/shadow');
    const fixture = scriptedServer({ failure: { afterTokens: 0, error } });
    const response = await post(fixture, chatUrl, { messages: hello });
    expect(response.statusCode).toBe(500);
    expect(response.json()).toMatchObject({
      error: { type: 'server_error', code: 'ERR_INTERNAL' },
    });
    expect(response.body).not.toContain('secret');
    expect(response.body).toContain('request id 1');
  });

  it('for its length is a 400', async () => {
    const response = await post(scriptedServer(), completionUrl, { prompt: 'x'.repeat(200) });
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({ error: { code: 'ERR_CONTEXT_LENGTH' } });
  });
});
