import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LoadTraceWriter, zipfTrace } from '@megascale/scheduler';
import { afterAll, describe, expect, it } from 'vitest';
import { finishedCli } from '../support/cli-fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'megascale-balance-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A trace of Zipf's law over 16 experts. */
function traceFile(): string {
  const header = { layerCount: 2, expertCount: 16, topK: 2 };
  const writer = new LoadTraceWriter(header);
  const parts = [writer.header()];
  const shape = { windows: 3, dispatchesPerWindow: 10, tokensPerDispatch: 512, windowUs: 1e6 };
  for (const window of zipfTrace({ ...header, ...shape, exponent: 1.2, seed: 1 })) {
    parts.push(writer.window(window).slice());
  }
  const path = join(folder, 'trace');
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

describe('megascale balance', () => {
  it('says the imbalance before and after, and what there is to load', async () => {
    const words = ['balance', traceFile(), '--spare-experts', '1', '--expert-bytes', '1000'];
    const { code, stdout } = await finishedCli([...words, '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as Record<string, unknown> & { placement: number[][][] };
    expect(report).toMatchObject({ layers: 2, experts: 16, windows: 3, truncated: false });
    expect((report.before as { rows: number }).rows).toBeGreaterThan(1.5);
    expect((report.after as { rows: number }).rows).toBeLessThanOrEqual(1.15);
    expect(report.bytesToMove).toBe((report.copiesToLoad as number) * 1000);
    expect(report.placement.map((experts) => experts.length)).toEqual([16, 16]);
    for (const experts of report.placement) {
      expect(experts.flat().length).toBeLessThanOrEqual(4 * 5);
    }
    const table = (await finishedCli(words)).stdout;
    expect(table).toContain('3 windows, 2 layers, 16 experts');
    expect(table).toMatch(/To load +\d+ experts of single layers, \d+ bytes/);
    expect(table).toMatch(/layer 1, worker 3 +\d+ \d+ \d+/);
  });

  it('refuses what is no trace, and more workers than experts', async () => {
    const path = join(folder, 'other');
    writeFileSync(path, 'x'.repeat(100));
    const other = await finishedCli(['balance', path]);
    expect([other.code === 0, other.stderr]).toEqual([
      false,
      expect.stringContaining('no load trace'),
    ]);
    const none = await finishedCli(['balance', join(folder, 'none')]);
    expect(none.stderr).toContain('cannot be read');
    const many = await finishedCli(['balance', traceFile(), '--expert-workers', '17']);
    expect(many.stderr).toContain('17 expert workers for 16 experts');
  });
});

describe('--rebalance', () => {
  it('reaches the engine, with and without settings', async () => {
    const words = ['generate', 'some/model', '--prompt', 'x', '--expert-load-file', 'loads'];
    const bare = await finishedCli([...words, '--rebalance']);
    expect(bare.loaded?.deployment).toMatchObject({ rebalance: {}, expertLoadFile: 'loads' });
    const set = await finishedCli([...words, '--rebalance', 'spareExperts=3']);
    expect(set.loaded?.deployment.rebalance).toEqual({ spareExperts: 3 });
  });
});
