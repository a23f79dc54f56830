import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type {
  BenchRequest,
  BenchSuite,
  LoadBenchRequest,
  M2nBenchRequest,
  AblationRequest,
  PipelineRequest,
  PredictRequest,
  ProfileRequest,
  M2nSearchRequest,
} from '@megascale/bench';
import { finishedCli } from '../support/cli-fixture.js';

function recordingSuite() {
  const requests: (BenchRequest | LoadBenchRequest)[] = [];
  const report = { document: { figure: 1 }, text: 'a table\n', trace: { traceEvents: [] } };
  const answer = (request: BenchRequest | LoadBenchRequest) => {
    requests.push(request);
    return Promise.resolve(report);
  };
  const searches: M2nSearchRequest[] = [];
  const m2nSearch = (request: M2nSearchRequest) => {
    searches.push(request);
    return Promise.resolve(report);
  };
  const transports: M2nBenchRequest[] = [];
  const m2n = (request: M2nBenchRequest) => {
    transports.push(request);
    return Promise.resolve({ ...report, chart: '<svg/>' });
  };
  const ablations: AblationRequest[] = [];
  const ablation = (request: AblationRequest) => {
    ablations.push(request);
    return Promise.resolve({ ...report, chart: '<svg/>' });
  };
  const pipelines: PipelineRequest[] = [];
  const pipeline = (request: PipelineRequest) => {
    pipelines.push(request);
    return Promise.resolve({ ...report, chart: '<svg/>' });
  };
  const profiles: ProfileRequest[] = [];
  const profile = (request: ProfileRequest) => {
    profiles.push(request);
    return Promise.resolve(report);
  };
  const predictions: PredictRequest[] = [];
  const predict = (request: PredictRequest) => {
    predictions.push(request);
    return Promise.resolve(report);
  };
  const models = { decode: answer, prefill: answer, load: answer };
  const suite: BenchSuite = { ...models, m2n, m2nSearch, ablation, pipeline, profile, predict };
  return {
    requests,
    searches,
    transports,
    ablations,
    pipelines,
    profiles,
    predictions,
    loadBench: () => Promise.resolve(suite),
  };
}

describe('bench', () => {
  it('passes its flags on and prints a table or one JSON document', async () => {
    const { requests, loadBench } = recordingSuite();
    const words = ['bench', 'decode', 'm', '--batch', '4', '--threads', '2', '--colocated'];
    expect(await finishedCli(words, { loadBench })).toMatchObject({ code: 0, stdout: 'a table\n' });
    const json = await finishedCli([...words, '--json', '--profile'], { loadBench });
    expect(json).toMatchObject({ code: 0, stdout: '{"figure":1}\n' });
    expect(requests[0]).toMatchObject({
      directory: 'm',
      options: { colocated: true, threads: 2 },
      batch: 4,
      promptTokens: 16,
      outputTokens: 32,
      runs: 5,
      profile: false,
      boundBytes: 2 ** 31,
    });
    expect(requests[1]).toMatchObject({ profile: true });
  });

  it('measures the law on the null backend, or with a model what its own times make of it', async () => {
    const { pipelines, loadBench } = recordingSuite();
    const words = ['bench', 'pipeline', '--ratios', '0.1,0.9', '--micro-batches-max', '8'];
    expect(await finishedCli(words, { loadBench })).toMatchObject({ code: 0 });
    await finishedCli(['bench', 'pipeline', 'm', '--batch', '16', '--threads', '1'], { loadBench });
    expect(pipelines[0]).toMatchObject({
      stageUs: 2000,
      layers: 8,
      batch: 4,
      ratios: [0.1, 0.9],
      microBatchesMax: 8,
      skew: false,
      options: { backend: 'null' },
    });
    expect(pipelines[0]).not.toHaveProperty('directory');
    expect(pipelines[1]).toMatchObject({ directory: 'm', batch: 16, options: { threads: 1 } });
    expect(pipelines[1]).not.toHaveProperty('stageUs');
  });

  it.each([
    { words: ['--micro-batches', '3'], says: 'sets m, the link' },
    { words: ['--backend', 'cpu'], says: 'needs a MODEL' },
    { words: ['m', '--skew'], says: '--skew goes without' },
    { words: ['--ratios', '0.1,-1'], says: 'Expected numbers from 0' },
  ])('refuses bench pipeline $words', async ({ words, says }) => {
    const { pipelines, loadBench } = recordingSuite();
    const run = await finishedCli(['bench', 'pipeline', ...words], { loadBench });
    expect(run.stderr).toContain(says);
    expect(pipelines).toEqual([]);
  });

  it('takes a profile, prints a table or the profile, and writes it', async () => {
    const { profiles, loadBench } = recordingSuite();
    const directory = mkdtempSync(join(tmpdir(), 'megascale-profile-'));
    const file = join(directory, 'profile.json');
    const words = ['profile', 'm', '--threads', '2', '--date', 'today', '--out', file];
    expect(await finishedCli(words, { loadBench })).toMatchObject({ code: 0, stdout: 'a table\n' });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ figure: 1 });
    expect(profiles).toMatchObject([
      { directory: 'm', threads: 2, batchMax: 32, runs: 2, transports: ['shm', 'tcp'] },
    ]);
    expect(profiles[0]).toMatchObject({ takenAt: 'today' });
    const nowhere = ['profile', 'm', '--out', join(directory, 'no', 'profile.json')];
    expect((await finishedCli(nowhere, { loadBench })).stderr).toContain('Cannot write');
    rmSync(directory, { recursive: true });
  });

  it('predicts the models it is given, or those that are made', async () => {
    const { predictions, loadBench } = recordingSuite();
    const words = ['bench', 'predict', '--models', 'a, b', '--rounds', '4', '--recalibrate'];
    expect(await finishedCli(words, { loadBench })).toMatchObject({ code: 0, stdout: 'a table\n' });
    await finishedCli(['bench', 'predict', '--isa', 'avx2'], { loadBench });
    expect(predictions).toMatchObject([
      { directories: ['a', 'b'], rounds: 4, recalibrate: true },
      { directories: [], rounds: 3, recalibrate: false, options: { isa: 'avx2' } },
    ]);
    const wrong = await finishedCli(['bench', 'predict', '--models', 'a,,b'], { loadBench });
    expect(wrong.stderr).toContain('Expected names');
  });

  it('asks what each part of disaggregation gains, and draws it', async () => {
    const { ablations, loadBench } = recordingSuite();
    const directory = mkdtempSync(join(tmpdir(), 'megascale-chart-'));
    const file = join(directory, 'ablation.svg');
    const flags = '--batch 6 --expert-workers 2 --micro-batches-max 3 --transports shm,tcp';
    const words = ['bench', 'ablation', 'm', ...flags.split(' '), '--chart', file];
    expect(await finishedCli(words, { loadBench })).toMatchObject({ code: 0 });
    expect(ablations).toMatchObject([
      {
        directory: 'm',
        batch: 6,
        microBatchesMax: 3,
        transports: ['shm', 'tcp'],
        options: { expertWorkers: 2, transport: 'shm' },
      },
    ]);
    expect(readFileSync(file, 'utf8')).toBe('<svg/>');
    const colocated = await finishedCli([...words, '--colocated'], { loadBench });
    expect(colocated).toMatchObject({ code: 2 });
    expect(colocated.stderr).toContain('leave them out');
  });

  it('measures the traffic it is told to, and draws it', async () => {
    const { transports, loadBench } = recordingSuite();
    const directory = mkdtempSync(join(tmpdir(), 'megascale-chart-'));
    const file = join(directory, 'm2n.svg');
    const flags = '--transport tcp --senders 2 --receivers 4 --bytes 2048,65536 --skew --rounds 3';
    const words = ['bench', 'm2n', ...flags.split(' '), '--baselines', 'none', '--chart', file];
    expect(await finishedCli(words, { loadBench })).toMatchObject({ code: 0, stdout: 'a table\n' });
    expect(readFileSync(file, 'utf8')).toBe('<svg/>');
    rmSync(directory, { recursive: true });
    expect(transports[0]).toMatchObject({
      transport: 'tcp',
      senders: 2,
      receivers: 4,
      bytes: [2048, 65536],
      skew: true,
      bothDirections: true,
      rounds: 3,
      baselines: [],
    });
  });

  it.each([
    ['--transport shm,tcp', 'one --transport'],
    ['--bytes 2k', 'numbers of bytes'],
    ['--bytes 2048 --chart x.svg', 'more than one size'],
    ['--search --chart x.svg', '--chart goes without'],
    ['--emulated-link fast', 'latencyUs'],
  ])('refuses bench m2n %s', async (flags, message) => {
    const { loadBench } = recordingSuite();
    const { code, stderr } = await finishedCli(['bench', 'm2n', ...flags.split(' ')], {
      loadBench,
    });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(new RegExp(message));
  });

  it('searches the transports it is told to, for as long as it is told', async () => {
    const { searches, loadBench } = recordingSuite();
    const flags = ['--search', '--transport', 'shm, tcp', '--minutes', '0.5', '--factor', '2'];
    expect(await finishedCli(['bench', 'm2n', ...flags], { loadBench })).toMatchObject({
      code: 0,
      stdout: 'a table\n',
    });
    expect(searches[0]).toMatchObject({
      transports: ['shm', 'tcp'],
      minutes: 0.5,
      factor: 2,
      seed: 0,
    });
  });

  it('compares with a colocated run of as many threads', async () => {
    const { requests, loadBench } = recordingSuite();
    const pools = ['--attention-workers', '2', '--expert-workers', '1', '--threads', '3'];
    await finishedCli(['bench', 'prefill', 'm', ...pools, '--against-colocated'], { loadBench });
    expect(requests[0]).toMatchObject({
      against: {
        directory: 'm',
        options: {
          colocated: true,
          attentionWorkers: 1,
          threads: Math.min(availableParallelism(), 9),
        },
      },
    });
    const twice = ['bench', 'decode', 'm', '--colocated', '--against-colocated'];
    expect(await finishedCli(twice, { loadBench })).toMatchObject({ code: 2 });
  });

  it('compares with a second model on the same deployment', async () => {
    const { requests, loadBench } = recordingSuite();
    await finishedCli(['bench', 'decode', 'm', '--against', 'n', '--colocated'], { loadBench });
    expect(requests[0]).toMatchObject({
      against: { directory: 'n', options: { colocated: true } },
    });
  });

  it('refuses what makes no sense', async () => {
    const { loadBench } = recordingSuite();
    for (const words of [
      ['decode', 'm', '--batch', '0'],
      ['decode', 'm', '--output-tokens', '3'],
      ['prefill', 'm', '--trace', '/nowhere/at/all.json'],
      ['prefill'],
    ]) {
      expect(await finishedCli(['bench', ...words], { loadBench })).toMatchObject({ code: 2 });
    }
  });
});
