import type { RequestAccount } from '@megascale/engine';
import { describe, expect, it } from 'vitest';
import { completionUrl, post, scriptedServer } from '@megascale/server/testing';

const account: RequestAccount = {
  totalUs: 10_000,
  tokenizingUs: 100,
  queueUs: 900,
  planningUs: 200,
  attentionUs: 3000,
  dispatchUs: 300,
  expertsUs: 4000,
  combineUs: 250,
  samplingUs: 250,
  pausedUs: 0,
  detokenizingUs: 400,
  otherUs: 600,
  steps: 7,
  promptTokens: 5,
  outputTokens: 7,
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
