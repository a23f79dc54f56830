import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finishedCli } from '../support/cli-fixture.js';

let directory: string;
beforeAll(() => (directory = mkdtempSync(join(tmpdir(), 'megascale-simulate-'))));
afterAll(() => {
  rmSync(directory, { recursive: true });
});
const file = (name: string): string => join(directory, name);

/** Small: few requests, short answers. */
const small = [
  ...['mixtral-8x7b', '--attention-workers', '2', '--expert-workers', '4', '--duration', '2'],
  ...['--requests-per-second', '4', '--prompt-median', '40', '--output-median', '5'],
];

interface Report {
  readonly setting: {
    readonly deployment: {
      readonly kind: string;
      readonly attention?: { readonly workers: number };
    };
  };
  readonly requests: Readonly<Record<'arrived' | 'finished' | 'refused' | 'unfinished', number>>;
  readonly tpotMs: { readonly p50: number };
}

async function json(words: readonly string[]): Promise<Report> {
  const { code, stdout, stderr } = await finishedCli(['simulate', ...words, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Report;
}

describe('megascale simulate', () => {
  it('prints a table, and with --json a document and nothing else', async () => {
    const { code, stdout } = await finishedCli(['simulate', ...small]);
    expect(code).toBe(0);
    expect(stdout).toContain('mixtral-8x7b on 2 H20 | 4 L40S, m = 3, poisson arrivals');
    expect(stdout).toMatch(/time per output token +\d/);
    const report = await json(small);
    expect(report.requests.finished).toBe(report.requests.arrived);
    expect(report.tpotMs.p50).toBeGreaterThan(1);
  });

  it('takes recorded arrivals, faults and targets; draws, and writes a trace', async () => {
    writeFileSync(
      file('requests.csv'),
      `arrivalS,promptTokens,outputTokens\n${Array.from({ length: 5 }, (_, index) => `${index / 10},50,20`).join('\n')}\n`,
    );
    const { code, stdout, stderr } = await finishedCli([
      ...['simulate', ...small, '--arrivals', file('requests.csv'), '--warm-up', '0', '--json'],
      ...['--failures', 'attention:0@0.3+0.5', '--stragglers', 'expert:1@0+1x2'],
      ...['--tpot-target-ms', '1000', '--policy', 'slo-aware'],
      ...['--trace', file('trace.json'), '--chart', file('chart.svg')],
    ]);
    expect(stderr).toContain('open it in https://ui.perfetto.dev');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      requests: { arrived: 5, finished: 5 },
      goodRequestsPerSecond: expect.any(Number) as number,
    });
    const trace = JSON.parse(readFileSync(file('trace.json'), 'utf8')) as {
      traceEvents: unknown[];
    };
    expect(trace.traceEvents.length).toBeGreaterThan(100);
    expect(readFileSync(file('chart.svg'), 'utf8')).toContain('KV pages held');
  });

  it('draws into a page that has the figures and needs nothing else', async () => {
    const { stdout } = await finishedCli(['simulate', ...small, '--chart', file('day.html')]);
    const page = readFileSync(file('day.html'), 'utf8');
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).toContain('<svg');
    const pre = /<pre>(.*)<\/pre>/s.exec(page)?.[1] ?? '';
    expect(pre.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')).toBe(
      stdout,
    );
    expect(page).not.toMatch(/<script|(src|href)=/);
  });

  it('simulates colocated deployments', async () => {
    const alone = ['--colocated', '--attention-gpu', 'H200', '--attention-workers', '1'];
    expect((await json([...small, ...alone])).setting.deployment.kind).toBe('colocated');
  });

  it('simulates a fleet', async () => {
    const words = ['fleet', ...small.slice(0, 5), '--instances', '3', '--hours', '0.05'];
    const load = ['--requests-per-second', '6', '--failures', '1+5', '--chart', file('day.svg')];
    const report = await json([...words, ...load]);
    expect(report.requests.arrived).toBeGreaterThan(500);
    expect(readFileSync(file('day.svg'), 'utf8')).toContain('instances at work');
    const { stdout } = await finishedCli(['simulate', ...words, '--requests-per-second', '6']);
    expect(stdout).toContain('3 instances of mixtral-8x7b on 2 H20 | 4 L40S, m = 3 each');
  });

  it('simulates the deployment of a plan, whatever pools the flags would give', async () => {
    const plan = file('plan.json');
    const asked = ['mixtral-8x7b', '--attention-gpu', 'H20', '--expert-gpu', 'L40S'];
    expect((await finishedCli(['plan', ...asked, '--out', plan])).code).toBe(0);
    const { deployment } = JSON.parse(readFileSync(plan, 'utf8')) as {
      deployment: Report['setting']['deployment'];
    };
    const report = await json([...small.slice(5), '--plan', plan]);
    expect(report.setting.deployment.attention?.workers).toBe(deployment.attention?.workers);
    expect(report.requests.finished).toBe(report.requests.arrived);
    writeFileSync(plan, '{"kind":"megascale-plan"}');
    const broken = await finishedCli(['simulate', '--plan', plan]);
    expect(broken.stderr).toMatch(/plan\.json, field "version"/);
    expect(broken.code).toBe(1);
  });

  it.each([
    { words: [], says: 'Give a MODEL or a --plan' },
    { words: ['no-such-model'], says: 'No model is called' },
    { words: ['mixtral-8x7b', '--expert-workers', '3'], says: 'do not divide' },
    { words: ['mixtral-8x7b', '--failures', 'attention:0'], says: 'is not of the form' },
    { words: ['mixtral-8x7b', '--arrivals', '/no/such/file'], says: 'a file that can be read' },
    { words: ['mixtral-8x7b', '--failures', 'expert:9@1+1'], says: 'there is no expert worker 9' },
    { words: ['fleet', 'mixtral-8x7b'], says: '--gpus or --instances' },
    { words: ['fleet', 'mixtral-8x7b', '--instances', '1', '--router', 'x'], says: 'round-robin' },
  ])('refuses $words', async ({ words, says }) => {
    const { code, stderr } = await finishedCli(['simulate', ...words]);
    expect(stderr).toContain(says);
    expect(code).toBeGreaterThan(0);
  });
});
