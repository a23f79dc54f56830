import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import {
  buildModelGraph,
  costOfModel,
  decodeWorkload,
  makeRandomCheckpoint,
  openCheckpoint,
  type ModelGraph,
} from '@megascale/core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

/** The built command on the cpu backend. Never a time: what is checked is what was counted. */
const program = fileURLToPath(new URL('../../../cli/bin/megascale.js', import.meta.url));
const builtIn = fileURLToPath(new URL('../../../../models/dictionary', import.meta.url));
const quick = ['--runs', '1', '--threads', '1', '--bound-gib', '0.25', '--json'];

// Most start a dozen processes.
vi.setConfig({ testTimeout: 120_000 });

let folder = '';
let model = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'megascale-bench-'));
  model = join(folder, 'model');
  // Every token takes every expert, and no size needs padding: what is touched can be told
  // beforehand.
  await makeRandomCheckpoint(model, {
    family: 'mixtral',
    hidden: 64,
    layers: 2,
    experts: 16,
    topK: 16,
    expertWidth: 32,
    heads: 4,
    kvHeads: 2,
    vocab: 512,
    seed: 1,
  });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function bench(...words: string[]) {
  const child = spawn(process.execPath, [program, 'bench', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  return JSON.parse(stdout) as Document;
}

interface Document {
  readonly tokensPerSecond: number;
  readonly tpotMs: { readonly p50: number; readonly p99: number };
  readonly smbu: number;
  readonly smfu: number;
  readonly bytesPerStep: number;
  readonly flopsPerStep: number;
  readonly flopsPerToken: number;
  readonly bandwidthGigabytesPerSecond: number;
  readonly steps: number;
  readonly memory: readonly { readonly role: string; readonly weightBytes: number }[];
  readonly profile: readonly { readonly pool: string; readonly shareOfTime: number }[];
  readonly spread: Readonly<Record<string, Readonly<Record<'min' | 'median' | 'max', number>>>>;
  readonly against: { readonly ratio: { readonly median: number } };
}

/** Norm weights are kept in f32, twice as wide as the cost model's weights. */
function normBytes({ sizes, layers }: ModelGraph): number {
  return (2 * layers.length + 1) * sizes.hiddenSize * 2;
}

describe('bench decode', () => {
  it('counts the bytes and FLOPs of the cost model, colocated and in two pools', async () => {
    const batch = 3;
    const promptTokens = 5;
    const graph = buildModelGraph(openCheckpoint(model).config);
    // Decode step j sees promptTokens + j keys; 8 output tokens are 7 steps, and the first only
    // starts the clock.
    const costs = [2, 3, 4, 5, 6, 7].map((step) =>
      costOfModel(
        graph,
        decodeWorkload(graph, { sequences: batch, contextTokens: promptTokens + step }),
      ),
    );
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const bytes = mean(costs.map((cost) => cost.weightBytes + cost.kvBytes)) + normBytes(graph);
    const words = ['decode', model, '--batch', '3', '--prompt-tokens', '5', '--output-tokens', '8'];
    const colocated = await bench(...words, ...quick, '--colocated');
    expect(colocated.bytesPerStep).toBe(bytes);
    expect(colocated.flopsPerStep).toBe(mean(costs.map(({ flops }) => flops)));
    const pools = await bench(...words, ...quick, '--micro-batches', '1');
    expect(pools.bytesPerStep).toBe(bytes);
    expect(pools.memory.map(({ role }) => role)).toEqual(['attention', 'expert']);
  });

  it('prints figures within their bounds, with a trace and a profile that explains all', async () => {
    const trace = join(folder, 'trace.json');
    const words = ['--batch', '12', '--output-tokens', '6', '--profile', '--trace', trace];
    const document = await bench('decode', builtIn, ...words, ...quick, '--against-colocated');
    expect(document.smbu).toBeGreaterThan(0);
    expect(document.smfu).toBeGreaterThan(0);
    expect(document.tpotMs.p99).toBeGreaterThanOrEqual(document.tpotMs.p50);
    expect(document.bandwidthGigabytesPerSecond).toBeGreaterThan(0);
    expect(document.against.ratio.median).toBeGreaterThan(0);
    const rate = document.tokensPerSecond;
    expect(document.spread['tokensPerSecond']).toEqual({ min: rate, median: rate, max: rate });
    for (const pool of ['attention', 'expert']) {
      const shares = document.profile.filter((row) => row.pool === pool);
      expect(shares.reduce((sum, { shareOfTime }) => sum + shareOfTime, 0)).toBeCloseTo(1);
    }
    const { traceEvents } = JSON.parse(readFileSync(trace, 'utf8')) as {
      traceEvents: { name: string; pid: number }[];
    };
    expect(new Set(traceEvents.map(({ name }) => name))).toContain('experts');
    expect(new Set(traceEvents.map(({ pid }) => pid)).size).toBe(2);
  });
});

describe('bench prefill', () => {
  it('takes all prompts in one step', async () => {
    const words = ['prefill', model, '--batch', '8', '--prompt-tokens', '24', '--colocated'];
    const document = await bench(...words, ...quick);
    expect(document.steps).toBe(1);
    const graph = buildModelGraph(openCheckpoint(model).config);
    const tokens = 8 * 24;
    const { flops } = costOfModel(graph, {
      ...decodeWorkload(graph, { sequences: tokens, contextTokens: 1 }),
      logitsRows: 8,
      keysSeen: (8 * 24 * 25) / 2,
      keysRead: tokens,
    });
    expect(document.flopsPerToken).toBe(flops / tokens);
    expect(document.smfu).toBeGreaterThan(0);
  });
});

describe('bench load', () => {
  it('says how many bytes were loaded', async () => {
    const document = await bench('load', builtIn, '--runs', '1', '--colocated', '--json');
    expect(document.memory[0]?.weightBytes).toBeGreaterThan(1e6);
    expect(document.spread['loadOverCopy']?.median).toBeGreaterThan(0);
  });
});

describe('bench ablation', () => {
  it('runs every deployment in turns, and its gains multiply to the whole', async () => {
    const flags =
      '--batch 2 --prompt-tokens 4 --output-tokens 6 --micro-batches-max 2 --transports shm';
    const words = [
      'ablation',
      model,
      ...flags.split(' '),
      '--runs',
      '1',
      '--threads',
      '1',
      '--json',
    ];
    const document = (await bench(...words)) as unknown as {
      rows: { question: string; ratio: { median: number } }[];
      gains: { expertBatch: number; overlap: number; kvCapacity: number; total: number };
    };
    expect(document.rows.map(({ question }) => question)).toEqual([
      ...['baseline', 'baseline', 'cut', 'micro-batches', 'steps', 'kv-capacity', 'kv-capacity'],
    ]);
    expect(document.rows[0]?.ratio.median).toBe(1);
    for (const { ratio } of document.rows) expect(ratio.median).toBeGreaterThan(0);
    const { expertBatch, overlap, kvCapacity, total } = document.gains;
    expect(expertBatch * overlap * kvCapacity).toBeCloseTo(total);
  });
});

describe('bench pipeline', () => {
  it('gives every point its law, whatever the machine', async () => {
    const flags = '--stage-us 100 --layers 2 --ratios 0.5 --micro-batches-max 2 --output-tokens 6';
    const document = (await bench('pipeline', ...flags.split(' '), '--json')) as unknown as {
      points: {
        transferRatio: number;
        microBatches: number;
        apart: { lawUs: number; measuredUs: number };
        joined: { lawUs: number; measuredUs: number };
      }[];
    };
    // Two links, the first without latency, and m = 1, 2. With T_f = 100 and T_c = 50 a layer's
    // round trip takes 300.
    expect(document.points.map(({ apart, joined }) => [apart.lawUs, joined.lawUs])).toEqual([
      [400, 400],
      [500, 400],
      [600, 600],
      [700, 600],
    ]);
    for (const { apart, joined } of document.points) {
      expect(Math.min(apart.measuredUs, joined.measuredUs)).toBeGreaterThan(0);
    }
  });

  it('compares gather policies for workers with unequal contexts', async () => {
    const flags = '--skew --stage-us 100 --layers 2 --output-tokens 6';
    const { rows } = (await bench('pipeline', ...flags.split(' '), '--json')) as unknown as {
      rows: { gather: string; stepMsByRank: number[] }[];
    };
    expect(rows).toHaveLength(8);
    for (const { stepMsByRank } of rows) expect(stepMsByRank).toHaveLength(2);
  });
});
