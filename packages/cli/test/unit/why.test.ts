import type { RequestAccount } from '@megascale/engine';
import { describe, expect, it } from 'vitest';
import { pipelineText } from '../../src/commands/trace.js';
import { accountText } from '../../src/commands/why.js';
import { finishedCli } from '../support/cli-fixture.js';

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
      attentionUs: 110,
      linkUs: 20,
      exposedCommunication: 0.1,
      attentionImbalance: 1,
      expertImbalance: 1.5,
      workers: [{ role: 'attention', rank: 0, windowUs: 200, busyUs: 120, bubbles }],
    });
    expect(text).toContain('T_a 110.0 µs, T_e unknown, T_c 20.0 µs');
    expect(text).toContain('experts 1.50');
    expect(text).toContain('attention worker 0: busy 60.0 %; waits for experts 30.0 %');
  });
});
