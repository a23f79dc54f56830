import type { RequestAccount } from '@megascale/engine';
import { describe, expect, it } from 'vitest';
import { accountText } from '../src/cli/why.js';
import { pipelineText } from '../src/cli/trace.js';
import { finishedCli } from './cli-fixture.js';
import { completionUrl, post, scriptedServer } from './http-fixture.js';

const account: RequestAccount = {
  ...{ totalUs: 10_000, tokenisingUs: 100, queueUs: 900, planningUs: 200, attentionUs: 3000 },
  ...{ dispatchUs: 300, expertsUs: 4000, combineUs: 250, samplingUs: 250, pausedUs: 0 },
  ...{ detokenisingUs: 400, otherUs: 600, steps: 7, promptTokens: 5, outputTokens: 7 },
  expertRows: [0, 6, 0, 2],
};

describe('what operators ask a server', () => {
  it('is where a request\u2019s time went, by the id of its answer', async () => {
    const accounts: Record<string, RequestAccount[]> = {};
    const fixture = scriptedServer({ accounts });
    const { id } = (await post(fixture, completionUrl, { prompt: 'x' })).json<{ id: string }>();
    expect(fixture.model.calls[0]?.options.requestId).toBe(id);
    accounts[id] = [account];
    const answer = await fixture.app.inject({ url: `/debug/requests/${id}` });
    expect(answer.json()).toEqual({ id, answers: [account] });
  });

  it('is refused in words for an id that nobody knows, and without the key', async () => {
    const unknown = await scriptedServer().app.inject({ url: '/debug/requests/cmpl-9' });
    expect(unknown.statusCode).toBe(404);
    expect(unknown.json<{ error: { message: string } }>().error.message).toContain('"cmpl-9"');
    const { app } = scriptedServer({}, { apiKey: 'secret' });
    for (const url of ['/debug/trace', '/debug/pipeline', '/debug/requests/1']) {
      expect((await app.inject({ url })).statusCode).toBe(401);
    }
  });

  it('is a trace, and the numbers of the pipeline', async () => {
    const { app } = scriptedServer();
    expect((await app.inject({ url: '/debug/trace' })).json()).toEqual({
      displayTimeUnit: 'ms',
      traceEvents: [],
    });
    expect((await app.inject({ url: '/debug/pipeline' })).json()).toMatchObject({ workers: [] });
  });
});

describe('megascale why', () => {
  it('shows each part with its share, and the experts by their rows', () => {
    const text = accountText('cmpl-1', account);
    expect(text).toContain('cmpl-1: 10.000 ms, 5 prompt and 7 output tokens in 7 steps');
    expect(text).toMatch(/experts +4\.000 ms +40\.0 % {2}by expert 1: 75 %, 3: 25 %/);
    expect(text).toMatch(/queue +0\.900 ms +9\.0 %/);
  });

  it('says so where no server answers', async () => {
    const run = await finishedCli(['why', 'cmpl-1', '--url', 'http://127.0.0.1:9']);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('No server answers at http://127.0.0.1:9');
  });
});

describe('megascale pipeline', () => {
  it('words the numbers', () => {
    const bubbles = { experts: 0.3, attention: 0, link: 0.1, idle: 0 };
    const text = pipelineText({
      ...{ attentionUs: 110, linkUs: 20, exposedCommunication: 0.1, attentionImbalance: 1 },
      expertImbalance: 1.5,
      workers: [{ role: 'attention', rank: 0, windowUs: 200, busyUs: 120, bubbles }],
    });
    expect(text).toContain('T_a 110.0 µs, T_e unknown, T_c 20.0 µs');
    expect(text).toContain('experts 1.50');
    expect(text).toContain('attention worker 0: busy 60.0 %; waits for experts 30.0 %');
  });
});
