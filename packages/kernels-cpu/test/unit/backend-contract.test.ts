import { backendContract } from '@megascale/core/testing';
import { inject } from 'vitest';
import { cpuWithEmulatedTiles, emulatedTiles, machineIsas, testedIsas } from '../support/isas.js';

const known = ['amx', emulatedTiles, 'avx512bf16', 'avx512', 'avx2', 'scalar'];
const tested = await testedIsas();
const machine = await machineIsas();
/** The long tier says of those that this machine has not that they are skipped. */
const isas = known.filter(
  (isa) => tested.includes(isa) || (inject('tier') === 'long' && !machine.includes(isa)),
);

for (const isa of isas) {
  backendContract({
    name: `cpu ${isa}`,
    factory: cpuWithEmulatedTiles,
    options: { isa, threads: 2 },
    // The bounds that the README states; bf16 between ops is nearly all of it.
    bound: { logits: 0.03, expertOutputs: 0.006 },
  });
}
