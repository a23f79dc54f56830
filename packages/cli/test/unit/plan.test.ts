import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomConfig } from '@megascale/core';
import type { PaperRow, PlanFile } from '@megascale/planner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finishedCli, startCli } from '../support/cli-fixture.js';
import { until } from '@megascale/core/testing';

let folder: string;
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'megascale-plan-'));
  const sizes = {
    hidden: 256,
    layers: 4,
    experts: 8,
    topK: 2,
    expertWidth: 512,
    heads: 4,
    kvHeads: 2,
    vocab: 512,
  };
  writeFileSync(at('config.json'), JSON.stringify(randomConfig({ family: 'mixtral', ...sizes })));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function planned(...words: readonly string[]): Promise<PlanFile> {
  const run = await finishedCli(['plan', ...words, '--json']);
  expect(run.code).toBe(0);
  return (JSON.parse(run.stdout) as { readonly plan: PlanFile }).plan;
}

describe('megascale plan', () => {
  it('refuses a profile that is not there, or is none', async () => {
    const planHere = (file: string) => finishedCli(['plan', folder, '--profile', at(file)]);
    expect((await planHere('absent.json')).stderr).toContain('Cannot read');
    writeFileSync(at('profile.json'), '{"version": 2}');
    const run = await planHere('profile.json');
    expect(run.code).not.toBe(0);
    expect(run.stderr).toContain('Field version of the profile');
  });

  it('refuses a chart of a plan from a profile', async () => {
    const words = ['--profile', at('absent.json'), '--chart', at('plan.svg')];
    const run = await finishedCli(['plan', folder, ...words]);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('--chart goes without --profile');
  });

  it('prints one document: the plan, why, and the next best', async () => {
    const run = await finishedCli([
      ...['plan', 'mixtral-8x7b', '--attention-gpu', 'H20', '--expert-gpu', 'L40S', '--json'],
    ]);
    const { plan, explanation, ranked } = JSON.parse(run.stdout) as {
      readonly plan: PlanFile;
      readonly explanation: { readonly verdict: { readonly answer: string } };
      readonly ranked: readonly unknown[];
    };
    expect(explanation.verdict.answer).toBe('disaggregated');
    expect(plan.deployment).toMatchObject({
      kind: 'disaggregated',
      attention: { accelerator: 'H20' },
      expert: { accelerator: 'L40S' },
    });
    expect(plan.predicted.tpotMs).toBeLessThanOrEqual(150);
    expect(ranked).toHaveLength(3);
  });

  it('takes a directory, a catalogue of one’s own and a time to the first token, and draws', async () => {
    const own = {
      name: 'shoebox',
      price: 1,
      memoryGigabytes: 4,
      memoryGigabytesPerSecond: 50,
      bf16Teraflops: 1,
      watts: 60,
      perNode: 1,
      scaleUp: { name: 'none', gigabytesPerSecond: 1, latencyUs: 10, domain: 1 },
      network: { name: 'cable', gigabytesPerSecond: 0.1, latencyUs: 50 },
    };
    writeFileSync(at('mine.json'), JSON.stringify({ version: 1, accelerators: [own] }));
    const plan = await planned(
      ...[folder, '--catalogue', at('mine.json'), '--attention-gpu', 'shoebox'],
      ...['--expert-gpu', 'shoebox', '--slo-ttft-ms', '5000', '--chart', at('plan.svg')],
    );
    expect(plan.model.expertCount).toBe(8);
    expect(plan.prefill?.ttftMs).toBeLessThanOrEqual(5000);
    expect(readFileSync(at('plan.svg'), 'utf8')).toMatch(/^<svg [^]*<\/svg>\n$/);
  });

  it.each([
    ['a model nobody knows', ['plan', 'no-such-model'], 'ERR_CONFIG_FIELD', 1],
    [
      'an accelerator nobody knows',
      ['plan', 'dbrx', '--attention-gpu', 'abacus'],
      'ERR_CONFIG_FIELD',
      1,
    ],
    [
      'a catalogue that is not there',
      ['plan', 'dbrx', '--catalogue', '/nowhere.json'],
      'ERR_USAGE',
      2,
    ],
    ['a time of nothing', ['plan', 'dbrx', '--slo-tpot-ms', '0'], 'ERR_USAGE', 2],
    [
      'nothing that keeps the time',
      ['plan', 'dbrx', '--slo-tpot-ms', '0.01', '--attention-gpu', 'L4', '--expert-gpu', 'L4'],
      'ERR_USAGE',
      2,
    ],
  ] as const)('refuses %s', async (_what, words, code, exitCode) => {
    const run = await finishedCli([...words, '--json']);
    expect(JSON.parse(run.stdout)).toMatchObject({ error: { code } });
    expect(run.code).toBe(exitCode);
  });
});

describe('serve --plan', () => {
  const plan = {
    kind: 'megascale-plan',
    version: 1,
    model: { name: 'tiny', layerCount: 4, hiddenSize: 256, expertCount: 8, topK: 2 },
    traffic: { inputTokens: 1, outputTokens: 1 },
    slo: { tpotMs: 100 },
    deployment: {
      kind: 'disaggregated',
      attention: { accelerator: 'x', tensorParallel: 1, workers: 2, machines: 1 },
      expert: {
        accelerator: 'x',
        tensorParallel: 1,
        workers: 4,
        machines: 1,
        expertsPerWorker: 2,
        replicas: 1,
      },
      microBatchCount: 3,
    },
    predicted: {
      batch: 6,
      tpotMs: 1,
      tokensPerSecond: 1,
      accelerators: 6,
      price: 1,
      watts: 1,
      attentionTimeUs: 1,
      expertTimeUs: 1,
      transferTimeUs: 1,
    },
    serve: {
      colocated: false,
      attentionWorkers: 2,
      expertWorkers: 4,
      expertReplicas: 1,
      microBatches: 3,
      transport: 'shm',
    },
    notes: [],
    reasons: [],
  };

  async function served(...words: readonly string[]) {
    const run = startCli(['serve', folder, '--port', '0', '--plan', at('p.json'), ...words]);
    await until(() => run.loaded !== undefined || run.stderr.includes('error'));
    run.signals.emit('SIGTERM');
    await run.code;
    return run;
  }

  it('runs its workers, micro-batches and transport', async () => {
    writeFileSync(at('p.json'), JSON.stringify(plan));
    const { loaded } = await served();
    expect(loaded?.deployment).toMatchObject({
      attentionWorkers: 2,
      expertWorkers: 4,
      expertReplicas: 1,
      microBatches: 3,
      transport: 'shm',
    });
  });

  it('gives way to flags', async () => {
    writeFileSync(at('p.json'), JSON.stringify(plan));
    const { loaded } = await served('--expert-workers', '1', '--transport', 'tcp');
    expect(loaded?.deployment).toMatchObject({
      attentionWorkers: 2,
      expertWorkers: 1,
      transport: 'tcp',
    });
    const together = await served('--colocated');
    expect(together.loaded?.deployment.colocated).toBe(true);
    expect(together.loaded?.deployment.attentionWorkers).toBeUndefined();
  });

  it('refuses a plan for another model, and what is no plan', async () => {
    writeFileSync(at('p.json'), JSON.stringify({ ...plan, model: { ...plan.model, topK: 4 } }));
    expect((await served()).stderr).toContain('topK 4 instead of 2');
    writeFileSync(at('p.json'), '{}');
    expect((await served()).stderr).toContain('field "kind"');
  });
});

it('simulate paper prints a row for each result', async () => {
  const run = await finishedCli(['simulate', 'paper', '--json']);
  const { rows } = JSON.parse(run.stdout) as { readonly rows: readonly PaperRow[] };
  expect(rows.map(({ id }) => id)).toContain('attention-workers-peak');
  expect(run.stdout.trim().split('\n')).toHaveLength(1);
});
