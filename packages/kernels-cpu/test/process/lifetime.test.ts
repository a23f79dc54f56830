import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  layerIndex,
  MegascaleError,
  microBatchIndex,
  partition,
  type AttentionStage,
  type Backend,
} from '@megascale/core';
import { promptLogits, tinyMixtral } from '@megascale/core/testing';
import { describe, expect, it } from 'vitest';
import { cpuBackend, plugin } from '../../src/index.js';
import { hostBytes, open } from '../support/compare.js';

const model = tinyMixtral();
const tokenIds = [5, 6, 7, 8];

async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    return MegascaleError.isInstance(error) ? error.code : String(error);
  }
  return 'nothing thrown';
}

function createAttention(backend: Backend, sizes: Record<string, number>): Promise<AttentionStage> {
  return backend.createAttentionStage({
    program: partition(model.graph).attention,
    weights: model.weights,
    kvPageCount: 4,
    kvPageSize: 16,
    microBatchCount: 1,
    tokensPerMicroBatchMax: 8,
    positionsMax: 64,
    ...sizes,
  });
}

describe('cpu backend', () => {
  it('is what the package offers as a plug-in', () => {
    expect(plugin.backends).toEqual([cpuBackend]);
  });

  it('loads native code when it is asked, not when it is imported', () => {
    const built = new URL('../../dist/index.js', import.meta.url).href;
    const script = `
      const loaded = () => process.report.getReport().sharedObjects.some((path) => path.includes('kernels_cpu'));
      const { cpuBackend } = await import(${JSON.stringify(built)});
      const before = loaded();
      await cpuBackend.probe();
      process.stdout.write([before, loaded()].join());`;
    const options = ['--input-type=module', '-e', script];
    expect(execFileSync(process.execPath, options, { timeout: 20_000 }).toString()).toBe(
      'false,true',
    );
  });

  it('lists the available variants when another is forced', async () => {
    const error: unknown = await cpuBackend.create({ isa: 'avx1024' }).catch((e: unknown) => e);
    if (!MegascaleError.isInstance(error)) throw new Error('expected a MegascaleError');
    expect(error.code).toBe('ERR_BACKEND_UNAVAILABLE');
    expect(error.message).toContain('scalar');
  });

  it('does not list the emulated tiles', async () => {
    const probe = await cpuBackend.probe();
    expect(probe.available && probe.variants).not.toContain('amx-emulated');
  });

  it.each([0, -1, 1.5, 5000])('refuses to compute on %d threads', async (threads) => {
    expect(await codeOf(() => cpuBackend.create({ threads }))).toBe('ERR_BACKEND_UNAVAILABLE');
  });

  it('refuses memory that no machine has', async () => {
    const backend = await cpuBackend.create({ threads: 1 });
    expect(await codeOf(() => backend.allocate(2 ** 50))).toBe('ERR_OUT_OF_MEMORY');
    const pages = createAttention(backend, { kvPageCount: 2 ** 40 });
    expect(await codeOf(() => pages)).toBe('ERR_OUT_OF_MEMORY');
    expect(() => backend.allocate(2 ** 43)).toThrow(
      /Need 8388608 MiB for a region, \d+ MiB are free/,
    );
    backend.close();
  });

  it.each([
    { kvPageSize: 8 },
    { kvPageSize: 24 },
    { kvPageCount: 0 },
    { microBatchCount: 0 },
    { tokensPerMicroBatchMax: 0 },
    { positionsMax: 0 },
  ])('refuses a stage with %o', async (sizes) => {
    const backend = await cpuBackend.create({ threads: 1 });
    expect(await codeOf(() => createAttention(backend, sizes))).toBe('ERR_SHAPE');
    backend.close();
  });

  it.each([NaN, 0.5, Infinity, -1])('refuses layer %d', async (layer) => {
    const backend = await cpuBackend.create({ threads: 1 });
    const colocated = await open(backend, model.graph, model.weights);
    promptLogits(colocated, tokenIds);
    const call = (): void => {
      colocated.attention.attend(layerIndex(layer), microBatchIndex(0));
    };
    expect(await codeOf(call)).toBe('ERR_SHAPE');
    backend.close();
  });

  it('gives regions at 64-byte boundaries that can be read after it closed', async () => {
    const backend = await cpuBackend.create({ threads: 1 });
    const region = backend.allocate(100);
    // The alignment shows in native code only; here it is the offset in the buffer that counts.
    expect(hostBytes(region).byteOffset).toBe(0);
    hostBytes(region).fill(7);
    backend.close();
    expect([...hostBytes(region)]).toEqual(Array(100).fill(7));
  });

  it('keeps logits readable after the stage closed', async () => {
    const backend = await cpuBackend.create({ threads: 2 });
    const colocated = await open(backend, model.graph, model.weights);
    const copied = promptLogits(colocated, tokenIds);
    const view = colocated.attention.logits(microBatchIndex(0));
    backend.close();
    expect([...view]).toEqual([...copied]);
  });

  it('opens and closes many times over', async () => {
    for (let time = 0; time < 30; time += 1) {
      const backend = await cpuBackend.create({ threads: 1 + (time % 4) });
      const colocated = await open(backend, model.graph, model.weights);
      expect(promptLogits(colocated, tokenIds).every(Number.isFinite)).toBe(true);
      if (time % 2 === 0) colocated.close();
      backend.close();
    }
  });

  it('ends with its process without being closed', () => {
    expect(
      runScript(`globalThis.kept = new Backend(3, ''); process.stdout.write(kept.isa)`),
    ).not.toBe('');
  });

  it('ends with its worker thread without being closed', () => {
    const output = runScript(`
      const { Worker, isMainThread, parentPort } = require('node:worker_threads');
      if (isMainThread) {
        let ended = 0;
        for (let i = 0; i < 6; i += 1) {
          const worker = new Worker(__filename);
          worker.once('message', () => worker.terminate());
          worker.once('exit', () => { if (++ended === 6) process.stdout.write('ended'); });
        }
      } else {
        const backend = new Backend(3, '');
        globalThis.kept = [backend, new Uint8Array(backend.allocate(5000000)).fill(1)];
        parentPort.postMessage('ready');
        setInterval(() => {}, 1000);
      }`);
    expect(output).toBe('ended');
  });
});

/** Runs CommonJS code that has the addon's classes, in a process of its own → its output. */
function runScript(code: string): string {
  const addon = fileURLToPath(new URL('../../build/Release/kernels_cpu.node', import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), 'megascale-lifetime-'));
  const script = join(folder, 'script.cjs');
  writeFileSync(script, `const { Backend } = require(${JSON.stringify(addon)});\n${code}`);
  try {
    return execFileSync(process.execPath, [script], { timeout: 20_000 }).toString();
  } finally {
    rmSync(folder, { recursive: true });
  }
}
