import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseMachineProfile } from '@megascale/planner';
import { describe, expect, it } from 'vitest';

/**
 * The built command on the built-in model. Never a time: only that everything is measured, and
 * fits.
 */
const program = fileURLToPath(new URL('../../../cli/bin/megascale.js', import.meta.url));
const builtIn = fileURLToPath(new URL('../../../../models/dictionary', import.meta.url));

async function megascale(...words: string[]): Promise<string> {
  const child = spawn(process.execPath, [program, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  return stdout;
}

describe('megascale profile', () => {
  it('measures the machine at hand in a file that the planner reads', async () => {
    const flags = ['--batch-max', '4', '--rounds', '1', '--transports', 'shm', '--json'];
    const profile = parseMachineProfile(await megascale('profile', builtIn, ...flags));
    expect(profile.machine.cores).toBeGreaterThan(0);
    expect(profile.model).toMatchObject({ name: 'dictionary' });
    expect(profile.pools.length).toBeGreaterThan(0);
    expect(profile.handovers).toHaveLength(4);
    expect(profile.transports.map(({ name }) => name)).toEqual(['shm']);
    expect(profile.bounds.readBytesPerSecond).toBeGreaterThan(0);
  }, 180_000);
});

describe('megascale bench predict', () => {
  it('predicts every deployment that it runs', async () => {
    const flags = ['--batch-max', '8', '--rounds', '1', '--recalibrate', '--json'];
    const document = JSON.parse(
      await megascale('bench', 'predict', '--models', builtIn, ...flags),
    ) as {
      readonly rows: readonly { readonly predicted: { readonly tpotUs: number } }[];
      readonly summary: { readonly runs: number };
      readonly recalibrated: readonly object[];
    };
    expect(document.summary.runs).toBe(document.rows.length);
    expect(document.rows.length).toBeGreaterThan(8);
    expect(document.recalibrated).toHaveLength(1);
    for (const { predicted } of document.rows) expect(predicted.tpotUs).toBeGreaterThan(0);
  }, 240_000);

  it('gives every worker the threads that are wanted', async () => {
    const flags = ['--threads', '1', '--batch-max', '1', '--rounds', '1', '--json'];
    const document = JSON.parse(
      await megascale('bench', 'predict', '--models', builtIn, ...flags),
    ) as { readonly rows: readonly { readonly deployment: string }[] };
    expect(document.rows.map(({ deployment }) => deployment)).toContain('colocated');
  }, 240_000);
});
