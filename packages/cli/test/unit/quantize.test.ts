import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRandomCheckpoint, openCheckpoint } from '@megascale/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finishedCli } from '../support/cli-fixture.js';

let dir = '';
const at = (name: string): string => join(dir, name);
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'megascale-quantize-'));
  await makeRandomCheckpoint(at('in'), {
    family: 'mixtral',
    hidden: 64,
    layers: 1,
    experts: 2,
    topK: 1,
    expertWidth: 32,
    heads: 2,
    kvHeads: 1,
    vocab: 50,
    seed: 3,
  });
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

describe('quantize', () => {
  it('writes a checkpoint and says what became of it', async () => {
    const run = await finishedCli(['quantize', at('in'), at('int8'), '--format', 'int8']);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run.stdout).toMatch(
      /^Wrote the mixtral model as int8 to .*int8: 11 tensors quantized, 5 kept\.\n.* MiB became .* MiB \(\d+\.\d %\)\.\nLargest error 0\.\d+, in model\..*; relative error of all 0\.\d\d %\.\n$/,
    );
    const { weights } = openCheckpoint(at('int8'));
    expect(weights.tensors.get('lm_head.weight')?.dtype).toBe('I8');
  });

  it('prints one JSON document with --json', async () => {
    const words = ['quantize', at('in'), at('int4'), '--format', 'int4', '--group-size', '16'];
    const run = await finishedCli([...words, '--json']);
    expect(JSON.parse(run.stdout)).toEqual({
      directory: at('int4'),
      format: 'int4',
      family: 'mixtral',
      quantizedTensors: 11,
      keptTensors: 5,
      bytesBefore: expect.any(Number) as number,
      bytesAfter: expect.any(Number) as number,
      largestError: expect.any(Number) as number,
      largestErrorTensor: expect.stringContaining('.weight') as string,
      relativeError: expect.any(Number) as number,
    });
    expect(readFileSync(at('int4/config.json'), 'utf8')).toContain('"group_size": 16');
  });

  it.each([
    ['no format', ['in', 'out'], 2, "required option '--format <name>'"],
    ['an unknown format', ['in', 'out', '--format', 'int3'], 2, 'Allowed choices are int8, int4'],
    ['half a group', ['in', 'out', '--format', 'int4', '--group-size', '0.5'], 2, 'whole number'],
    [
      'groups that do not fit',
      ['in', 'out', '--format', 'int4', '--group-size', '64'],
      1,
      'divides 32',
    ],
    ['a model that is not there', ['no', 'out', '--format', 'int4'], 1, 'There is no directory'],
    ['a full directory', ['in', 'in', '--format', 'int4'], 1, 'new or empty directory'],
  ] as const)('refuses %s', async (_, [from, to, ...flags], code, message) => {
    const run = await finishedCli(['quantize', at(from), at(to), ...flags]);
    expect(run).toMatchObject({ code, stdout: '' });
    expect(run.stderr).toContain(message);
  });
});
