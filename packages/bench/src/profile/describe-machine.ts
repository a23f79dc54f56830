import { availableParallelism, cpus, totalmem } from 'node:os';
import type { MachineProfile } from '@megascale/planner';

/** The machine that a profile is of. */
export function describeMachine(megascaleVersion: string): MachineProfile['machine'] {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    platform: `${process.platform} ${process.arch}`,
    versions: { node: process.version, megascale: megascaleVersion },
  };
}
