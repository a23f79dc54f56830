import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LLM, type LlmEvent, type LlmOptions } from '../../dist/index.js';
import { dictionary, mixedRequests, runRequests } from '../support/run-requests.js';

const requests = mixedRequests(6, 4096);
let folder = '';
let expected: readonly (readonly number[])[] = [];

interface Run {
  readonly tokens: readonly (readonly number[])[];
  readonly events: readonly LlmEvent[];
  readonly policyErrors: number;
  readonly cached: number;
}

async function runWith(options: LlmOptions): Promise<Run> {
  const events: LlmEvent[] = [];
  const llm = await LLM.load(
    dictionary,
    { threads: 1, ...options },
    { onEvent: (event) => events.push(event) },
  );
  try {
    const answers = await runRequests(llm, requests);
    const { policyErrorsTotal, cachedPromptTokensTotal } = await llm.stats();
    return {
      tokens: answers.map(({ tokens }) => tokens),
      events: events.filter(({ type }) => type === 'policy-failed'),
      policyErrors: policyErrorsTotal,
      cached: cachedPromptTokensTotal,
    };
  } finally {
    await llm.close();
  }
}

function policyFile(name: string, plan: string): string {
  const file = join(folder, name);
  writeFileSync(file, `export default { specVersion: 1, name: 'mine', plan(view) { ${plan} } };`);
  return file;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'megascale-policies-'));
  expected = (await runWith({ colocated: true })).tokens;
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('requests under a policy of one\u2019s own', () => {
  it.each([
    { name: 'throws', plan: "throw new Error('out of ideas');", what: /out of ideas/ },
    {
      name: 'returns nonsense',
      plan: "return { run: 'all', preempt: 3 };",
      what: /ERR_PLAN_INVALID|mine/,
    },
    {
      name: 'names sequences that are not there',
      plan: 'return { run: [{ id: -1, tokens: 1 }], preempt: [] };',
      what: /known-sequences/,
    },
    { name: 'loops', plan: 'for (;;);', what: /took more than 50 ms/ },
  ])('that $name have their tokens, and the failure is told once', async ({ name, plan, what }) => {
    // Only the one that loops is to be timed.
    const limit = name === 'loops' ? {} : { policyTimeMs: 60_000 };
    const policy = policyFile('mine.mjs', plan);
    const run = await runWith({ policy, colocated: true, ...limit });
    expect(run.tokens).toEqual(expected);
    expect(run.policyErrors).toBeGreaterThan(0);
    expect(run.events).toHaveLength(1);
    expect((run.events[0] as { error: Error }).error.message).toMatch(what);
    // Each is a module of its own: what is imported once stays.
    rmSync(join(folder, 'mine.mjs'));
  });

  it.each(['prefill-first', 'slo-aware'])('and under %s have their tokens', async (policy) => {
    const run = await runWith({ policy, attentionWorkers: 2, expertWorkers: 2, tpotTargetMs: 5 });
    expect(run).toMatchObject({ tokens: expected, policyErrors: 0 });
  });

  it.each([
    { name: 'is not there', file: 'missing.ts', text: undefined, what: /cannot be loaded/ },
    {
      name: 'has a mistake',
      file: 'mistake.ts',
      text: 'export const = 3;',
      what: /cannot be loaded/,
    },
    {
      name: 'exports no policy',
      file: 'empty.ts',
      text: 'export const x: number = 3;',
      what: /exports no scheduler policy/,
    },
    {
      name: 'exports one without plan',
      file: 'half.ts',
      text: "export default { specVersion: 1, name: 'x' };",
      what: /a function plan/,
    },
  ])('are not started when its file $name', async ({ file, text, what }) => {
    const path = join(folder, file);
    if (text !== undefined) writeFileSync(path, text);
    const loading = LLM.load(dictionary, { policy: path });
    await expect(loading).rejects.toMatchObject({ code: 'ERR_CONFIG_FIELD' });
    await expect(loading).rejects.toThrow(what);
  });
});

describe('a policy whose module never ends', () => {
  it('is refused by name', async () => {
    const path = join(folder, 'endless.mjs');
    writeFileSync(path, 'for (;;);');
    const loading = LLM.load(dictionary, { policy: path, colocated: true }, { policyLoadMs: 3000 });
    await expect(loading).rejects.toMatchObject({ code: 'ERR_CONFIG_FIELD' });
    await expect(loading).rejects.toThrow(/did not come to an end within 3 s/);
  });
});

describe('requests that begin alike', () => {
  it('have the tokens that they have alone, share their pages, and are told so', async () => {
    const prompt = Array.from({ length: 100 }, (_, place) => 5 + ((place * 7919) % 4000));
    const ask = (tail: number) => ({
      prompt: [...prompt, 7 + tail],
      options: { maxTokens: 8, ignoreEos: true, temperature: 0 },
    });
    const asked = Array.from({ length: 8 }, (_, index) => ask(index));
    const answersOf = async (options: LlmOptions) => {
      const llm = await LLM.load(dictionary, { threads: 1, ...options });
      try {
        const answers = await runRequests(llm, asked);
        return { answers, stats: await llm.stats() };
      } finally {
        await llm.close();
      }
    };
    const alone = await answersOf({ colocated: true, prefixSharing: false });
    const shared = await answersOf({ expertWorkers: 2, microBatches: 3, kvPageSize: 16 });
    expect(shared.answers.map(({ tokens }) => tokens)).toEqual(
      alone.answers.map(({ tokens }) => tokens),
    );
    const cached = shared.answers.map(({ last }) => last?.usage?.cachedPromptTokens ?? 0);
    // Six full pages of the common hundred, for all but the first.
    expect(cached.toSorted((a, b) => a - b)).toEqual([0, 96, 96, 96, 96, 96, 96, 96]);
    expect(shared.stats.cachedPromptTokensTotal).toBe(7 * 96);
    expect(alone.stats.cachedPromptTokensTotal).toBe(0);
  });
});
