import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { LLM } from '../../dist/index.js';
import { collect, dictionary } from '../support/run-requests.js';

const run = promisify(execFile);

/** → what the example prints; its workers print to stderr. */
async function example(file: string, ...args: string[]): Promise<string> {
  const path = fileURLToPath(new URL(`../../../../examples/${file}`, import.meta.url));
  const { stdout, stderr } = await run(process.execPath, [path, ...args]);
  return stdout + stderr;
}

describe('examples', () => {
  it('01 streams an answer after its prompt', async () => {
    const output = await example('01-generate.mjs', 'river (noun):');
    expect(output).toMatch(/^river \(noun\):\s*\S+ \S+/);
  }, 60_000);

  it('02 finds equal tokens on every topology', async () => {
    expect(await example('02-disaggregate.mjs')).toContain('equal on all topologies');
  }, 60_000);

  it('loads a policy in TypeScript, which lets the short prompt start first', async () => {
    const policy = fileURLToPath(
      new URL('../../../../examples/shortest-first.ts', import.meta.url),
    );
    const options = { policy, policyTimeMs: 60_000, maxNumSeqs: 1, threads: 1, colocated: true };
    const llm = await LLM.load(dictionary, options);
    try {
      const order: string[] = [];
      const prompts = { first: 3, long: 60, short: 2 };
      await Promise.all(
        Object.entries(prompts).map(async ([name, tokens]) => {
          const prompt = Array.from({ length: tokens }, (_, place) => 5 + place);
          await collect(llm, prompt, { maxTokens: 12, ignoreEos: true, temperature: 0 });
          order.push(name);
        }),
      );
      expect(order.indexOf('short')).toBeLessThan(order.indexOf('long'));
      expect((await llm.stats()).policyErrorsTotal).toBe(0);
    } finally {
      await llm.close();
    }
  });

  it('03 runs a policy of its own, which finishes in the order of starting', async () => {
    const output = await example('03-write-a-policy.mjs');
    const [started, finished] = output.trim().split('\n');
    expect(finished?.replace('finished', '')).toBe(started?.replace('started ', ''));
  }, 60_000);

  it('04 carries rows over a transport of its own, and counts them', async () => {
    expect(await example('04-write-a-transport.mjs')).toMatch(/sent [1-9]\d* rows to the experts/);
  }, 60_000);

  it('05 computes on a backend of its own, and times its stages', async () => {
    expect(await example('05-write-a-backend.mjs')).toMatch(/attention \d+ ms, experts \d+ ms/);
  }, 60_000);

  it('06 simulates a deployment under two loads', async () => {
    expect(await example('06-simulate.mjs')).toMatch(/^8 requests\/s: \d+ tokens\/s/m);
  }, 60_000);
});
