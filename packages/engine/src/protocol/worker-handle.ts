import type { CoordinatorMessage } from './messages.js';
import type { WorkerRole } from './worker-role.js';

/** One worker process as the coordinator's parts see it: who it is, and a way to send to it. */
export interface WorkerHandle {
  readonly role: WorkerRole;
  readonly rank: number;
  /** Process id; -1 when the process could not be started. */
  readonly pid: number;
  send(message: CoordinatorMessage): void;
}

/** The workers of both pools, each by rank. The expert pool is empty in colocated mode. */
export interface WorkersByRole {
  readonly attention: readonly WorkerHandle[];
  readonly expert: readonly WorkerHandle[];
}
