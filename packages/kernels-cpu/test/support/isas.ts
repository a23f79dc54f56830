import type { BackendFactory } from '@megascale/core';
import { inject } from 'vitest';
import { cpuBackend } from '../../src/index.js';

/** Runs the code of the tiles everywhere; accepted by `create`, though no machine lists it. */
export const emulatedTiles = 'amx-emulated';

/** Best first. */
const isas = ['amx', 'avx512bf16', 'avx512', 'avx2', 'neon', 'scalar'];

/** Every variant of which this machine can run a test. */
export async function machineIsas(): Promise<readonly string[]> {
  const probe = await cpuBackend.probe();
  if (!probe.available) throw new Error(probe.reason);
  return [...probe.variants, emulatedTiles];
}

/**
 * The variants that this run tests: the best one of this machine beside scalar, and in the long
 * tier (`test/long/other-isas.test.ts`) the others.
 */
export async function testedIsas(): Promise<readonly string[]> {
  const all = await machineIsas();
  const quick = new Set([isas.find((isa) => all.includes(isa)), 'scalar']);
  const isQuickTier = inject('tier') !== 'long';
  return all.filter((isa) => quick.has(isa) === isQuickTier);
}

/** `cpu` as a machine with tiles would list it. */
export const cpuWithEmulatedTiles: BackendFactory = {
  ...cpuBackend,
  probe: async () => {
    const probe = await cpuBackend.probe();
    return probe.available ? { ...probe, variants: [...probe.variants, emulatedTiles] } : probe;
  },
};
