import { backendContract } from '@megascale/core/testing';
import { cpuWithEmulatedTiles, emulatedTiles } from '../support/isas.js';

for (const isa of ['amx', emulatedTiles, 'avx512bf16', 'avx512', 'avx2', 'scalar']) {
  backendContract({
    name: `cpu ${isa}`,
    factory: cpuWithEmulatedTiles,
    options: { isa, threads: 2 },
    // The bounds that the README states; bf16 between ops is nearly all of it.
    bound: { logits: 0.03, expertOutputs: 0.006 },
  });
}
