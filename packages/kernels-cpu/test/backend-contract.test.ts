import type { BackendFactory } from '@megascale/core';
import { backendContract } from '@megascale/core/testing';
import { cpuBackend } from '../src/index.js';

/** Runs the code of the tiles everywhere; accepted by `create`, though no machine lists it. */
const emulated: BackendFactory = {
  ...cpuBackend,
  probe: async () => {
    const probe = await cpuBackend.probe();
    return probe.available ? { ...probe, variants: [...probe.variants, 'amx-emulated'] } : probe;
  },
};

for (const isa of ['amx', 'amx-emulated', 'avx512', 'avx2', 'scalar']) {
  backendContract({
    name: `cpu ${isa}`,
    factory: isa === 'amx-emulated' ? emulated : cpuBackend,
    options: { isa, threads: 2 },
    bound: { logits: 0.03, answers: 0.006 },
  });
}
