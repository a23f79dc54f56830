import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfigFile } from '../../src/options/config-file.js';
import { finishedCli } from '../support/cli-fixture.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'megascale-config-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function written(text: string, name = 'megascale.yaml'): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const generate = (path: string, words: readonly string[] = [], environment = {}) =>
  finishedCli(['generate', 'm', '--prompt', 'x', '--config', path, ...words], {
    readEnvironment: () => environment,
  });

describe('a configuration file', () => {
  it('takes the values that flags take, as YAML', async () => {
    const path = written(`# what this machine runs
attentionWorkers: 2
kvMemoryBytes: 2GiB
overlapSteps: false
gather: window=2ms
rebalance: { intervalMs: 30s, spareExperts: 2 }
port: 8080
`);
    expect((await generate(path)).loaded?.deployment).toEqual({
      attentionWorkers: 2,
      kvMemoryBytes: 2 ** 31,
      overlapSteps: false,
      gather: { type: 'window', windowUs: 2000 },
      rebalance: { intervalMs: 30_000, spareExperts: 2 },
    });
  });

  it('is JSON too, with the reference to its schema', () => {
    const path = written('{"$schema": "./config.schema.json", "colocated": true}', 'c.json');
    expect(readConfigFile(path)).toEqual({ colocated: true });
  });

  it('may be empty', () => {
    expect(readConfigFile(written('# nothing yet\n'))).toEqual({});
  });

  it('gives way to the environment, and that to flags', async () => {
    const path = written('attentionWorkers: 2\nexpertWorkers: 2\nmicroBatches: 2\n');
    const environment = { expertWorkers: 3, microBatches: 3 };
    const run = await generate(path, ['--micro-batches', '4'], environment);
    const expected = { attentionWorkers: 2, expertWorkers: 3, microBatches: 4 };
    expect(run.loaded?.deployment).toEqual(expected);
  });

  it('names files from its own folder', () => {
    const path = written('policy: ./mine.ts\nexpertLoadFile: loads\n');
    const expected = { policy: join(folder, 'mine.ts'), expertLoadFile: join(folder, 'loads') };
    expect(readConfigFile(path)).toEqual(expected);
    expect(readConfigFile(written('policy: slo-aware'))).toEqual({ policy: 'slo-aware' });
  });

  it.each([
    ['maxNumSeq: 4', 'no option maxNumSeq. Did you mean maxNumSeqs?'],
    ['max-num-seqs: 4', 'no option max-num-seqs. Did you mean maxNumSeqs?'],
    ['entirely: different', 'no option entirely. See megascale config schema.'],
    ['maxNumSeqs: many', "option maxNumSeqs 'many': expected a whole number of at least 1"],
    ['rebalance: { margin: 2 }', 'margin: expected a number from 0 to 1'],
    ['- 1', 'expected options'],
    ['a: [', 'neither YAML nor JSON'],
    ['colocated: yes', 'expected true or false'],
  ])('refuses %j by name', async (text, message) => {
    const path = written(text);
    const run = await generate(path);
    expect(run).toMatchObject({ code: 2, loaded: undefined });
    expect(run.stderr).toContain(path);
    expect(run.stderr).toContain(message);
  });

  it('does not show a key', async () => {
    const run = await generate(written('network: { preSharedKey: secret }'));
    expect(run).toMatchObject({ code: 2 });
    expect(run.stderr).not.toContain('secret');
  });
});

describe('megascale config', () => {
  it('checks a file and shows how it is read', async () => {
    const run = await finishedCli(['config', 'check', written('spinUs: 2ms\napiKey: secret\n')]);
    expect(JSON.parse(run.stdout)).toEqual({ spinUs: 2000, apiKey: '…' });
    expect(await finishedCli(['config', 'check', written('spin: 2')])).toMatchObject({ code: 2 });
  });

  it('prints the schema of such files', async () => {
    const { stdout } = await finishedCli(['config', 'schema']);
    expect(JSON.parse(stdout)).toMatchObject({
      type: 'object',
      additionalProperties: false,
      properties: { attentionWorkers: { type: 'integer', maximum: 64, default: 1 } },
    });
  });
});
