import type { BackendFactory } from '@megascale/core';
import { cpuBackend } from '../../src/index.js';

/** Runs the code of the tiles everywhere; accepted by `create`, though no machine lists it. */
export const emulatedTiles = 'amx-emulated';

/** Every variant of which this machine can run a test. */
export async function testedIsas(): Promise<readonly string[]> {
  const probe = await cpuBackend.probe();
  if (!probe.available) throw new Error(probe.reason);
  return [...probe.variants, emulatedTiles];
}

/** `cpu` as a machine with tiles would list it. */
export const cpuWithEmulatedTiles: BackendFactory = {
  ...cpuBackend,
  probe: async () => {
    const probe = await cpuBackend.probe();
    return probe.available ? { ...probe, variants: [...probe.variants, emulatedTiles] } : probe;
  },
};
