import { RequestError } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import {
  chatUrl,
  completionUrl,
  hello,
  post,
  scriptedServer,
  type Fixture,
} from '@megascale/server/testing';

async function scrape({ app }: Fixture): Promise<Map<string, number>> {
  const { body } = await app.inject('/metrics');
  const samples = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    samples.map((line): [string, number] => {
      const gap = line.lastIndexOf(' ');
      return [line.slice(0, gap), Number(line.slice(gap + 1))];
    }),
  );
}

describe('GET /metrics', () => {
  it('copies what the engine counts, and copies it again at the next scrape', async () => {
    const fixture = scriptedServer();
    await scrape(fixture);
    expect(Object.fromEntries(await scrape(fixture))).toMatchObject({
      megascale_ready: 1,
      megascale_requests_running: 0,
      megascale_requests_waiting: 0,
      megascale_kv_pages_total: 64,
      megascale_kv_pages_free: 64,
      megascale_prompt_tokens_total: 7,
      megascale_output_tokens_total: 11,
      megascale_preemptions_total: 0,
      megascale_steps_total: 5,
      'megascale_step_seconds_total{part="compute"}': 2,
      'megascale_step_seconds_total{part="wait"}': 1,
      'megascale_step_seconds_total{part="dispatch"}': 0.4,
      'megascale_step_seconds_total{part="sampling"}': 0.3,
      'megascale_step_seconds_total{part="driving"}': 0.3,
    });
  });

  it('measures each answer: first token, gaps, mean gap, whole', async () => {
    const fixture = scriptedServer();
    // The clock moves a millisecond at each look: arrival, three tokens, the end.
    await post(fixture, completionUrl, { prompt: 'x', max_tokens: 3 });
    const samples = await scrape(fixture);
    expect(samples.get('megascale_request_success_total{finish_reason="length"}')).toBe(1);
    expect(samples.get('megascale_ttft_seconds_sum')).toBeCloseTo(0.001);
    expect(samples.get('megascale_itl_seconds_count')).toBe(2);
    expect(samples.get('megascale_itl_seconds_sum')).toBeCloseTo(0.002);
    expect(samples.get('megascale_tpot_seconds_sum')).toBeCloseTo(0.001);
    expect(samples.get('megascale_e2e_seconds_sum')).toBeCloseTo(0.004);
  });

  it('has no time per token for an answer of one token', async () => {
    const fixture = scriptedServer();
    await post(fixture, completionUrl, { prompt: 'x', max_tokens: 1 });
    const samples = await scrape(fixture);
    expect(samples.get('megascale_tpot_seconds_count')).toBe(0);
    expect(samples.get('megascale_e2e_seconds_count')).toBe(1);
  });

  it('counts failures by code, refused and broken in mid-stream alike', async () => {
    const error = new RequestError('ERR_UNAVAILABLE', { message: 'Gone. Retry.' });
    const fixture = scriptedServer({ failure: { afterTokens: 1, error } });
    await post(fixture, chatUrl, { messages: [] });
    await post(fixture, chatUrl, { messages: hello });
    await post(fixture, chatUrl, { messages: hello, stream: true });
    const samples = await scrape(fixture);
    expect(samples.get('megascale_request_failure_total{code="ERR_REQUEST_INVALID"}')).toBe(1);
    expect(samples.get('megascale_request_failure_total{code="ERR_UNAVAILABLE"}')).toBe(2);
  });

  it('keeps two servers of one process apart', async () => {
    const [first, second] = [scriptedServer(), scriptedServer()];
    await post(first, completionUrl, { prompt: 'x', max_tokens: 1 });
    expect((await scrape(second)).get('megascale_e2e_seconds_count')).toBe(0);
  });
});
