import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type {
  BenchRequest,
  BenchSuite,
  LoadBenchRequest,
  M2nBenchRequest,
  M2nSearchRequest,
} from '../src/bench-suite.js';
import { finishedCli } from './cli-fixture.js';

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
  const suite: BenchSuite = { decode: answer, prefill: answer, load: answer, m2n, m2nSearch };
  return { requests, searches, transports, loadBench: () => Promise.resolve(suite) };
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
      from: 'ts',
      rounds: 3,
      baselines: [],
    });
  });

  it.each([
    ['--transport shm,tcp', 'one --transport'],
    ['--from cpp --transport tcp', '--from cpp'],
    ['--from rust', 'ts, cpp'],
    ['--bytes 2k', 'numbers of bytes'],
    ['--bytes 2048 --chart x.svg', 'more than one size'],
    ['--emulate-link fast', 'latencyUs'],
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

  it('says which package is missing, and refuses what makes no sense', async () => {
    const missing = await finishedCli(['bench', 'load', 'm']);
    expect(missing).toMatchObject({ code: 1 });
    expect(missing.stderr).toContain('npm install @megascale/bench');
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
