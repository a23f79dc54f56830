import { readFileSync } from 'node:fs';
import type { WorkerProfile } from '@megascale/engine';

/** Bytes of one worker process. */
export interface WorkerMemory {
  readonly role: 'attention' | 'expert';
  readonly rank: number;
  /** As stored, of all its stages. */
  readonly weightBytes: number;
  readonly kvBytes: number;
  /** The most that was resident at any time; null where the system does not say. */
  readonly peakBytes: number | null;
  /** What the peak has beyond weights and KV pages. */
  readonly otherBytes: number | null;
}

/** Each worker's memory so far: Linux only, null elsewhere. */
export function workerMemory(profiles: readonly WorkerProfile[]): WorkerMemory[] {
  return profiles.map(({ role, rank, pid, stages }) => {
    const weightBytes = stages.reduce((sum, { totals }) => sum + totals.weightBytes, 0);
    const kvBytes = stages.reduce((sum, { totals }) => sum + totals.kvBytes, 0);
    const peakBytes = peakOf(readStatus(pid));
    const otherBytes = peakBytes === null ? null : peakBytes - weightBytes - kvBytes;
    return { role, rank, weightBytes, kvBytes, peakBytes, otherBytes };
  });
}

/** VmHWM in the text of /proc/PID/status, in bytes. Exported for the test. */
export function peakOf(status: string): number | null {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  } catch {
    return '';
  }
}
