import type { WorkerHandle, WorkersByRole } from '../protocol/worker-handle.js';
import type { WorkerRole } from '../protocol/worker-role.js';
import { WorkerProcess, type WorkerProcessOptions } from './worker-process.js';

export interface WorkerPoolOptions extends WorkerProcessOptions {
  /**
   * Receives the loss of a worker that ended without being asked; called once, with the first
   * cause.
   */
  readonly onLost: (error: Error) => void;
  readonly onReady?: (worker: WorkerHandle) => void;
}

/** The worker processes of one engine, from fork to exit. Nothing of it outlives `stop`. */
export class WorkerPool implements WorkersByRole {
  readonly attention: readonly WorkerHandle[];
  readonly expert: readonly WorkerHandle[];
  /** Of the first worker that became ready; all are alike. */
  readonly backend: { readonly name: string; readonly isa: string };
  readonly #processes: readonly WorkerProcess[];

  /** Callers use `WorkerPool.start`. */
  constructor(
    processes: readonly WorkerProcess[],
    backend: { readonly name: string; readonly isa: string },
  ) {
    this.#processes = processes;
    this.attention = processes.filter(({ role }) => role === 'attention');
    this.expert = processes.filter(({ role }) => role === 'expert');
    this.backend = backend;
  }

  /**
   * Resolves when every worker is ready; rejects with the first worker's error, everything stopped.
   */
  static async start(options: WorkerPoolOptions): Promise<WorkerPool> {
    const { config } = options;
    const processes = [
      ...ranks(config.attentionWorkers).map(
        (rank) => new WorkerProcess('attention', rank, options),
      ),
      ...ranks(config.colocated ? 0 : config.expertWorkers).map(
        (rank) => new WorkerProcess('expert', rank, options),
      ),
    ];
    try {
      if (!config.colocated) await introduce(processes);
      const [first] = await Promise.all(
        processes.map(async (process) => {
          const ready = await process.ready;
          options.onReady?.(process);
          return ready;
        }),
      );
      const pool = new WorkerPool(processes, { name: first?.backend ?? '', isa: first?.isa ?? '' });
      pool.#watch(options);
      return pool;
    } catch (error) {
      await stopAll(processes);
      throw error;
    }
  }

  /** Every worker, attention workers first. */
  get all(): readonly WorkerHandle[] {
    return this.#processes;
  }

  /** Asks every worker to end, and kills those that do not. Idempotent. */
  async stop(): Promise<void> {
    await stopAll(this.#processes);
  }

  #watch({ onLost }: WorkerPoolOptions): void {
    let reported = false;
    for (const process of this.#processes) {
      void process.lost.then((error) => {
        if (reported || error === undefined) return;
        reported = true;
        for (const other of this.#processes) {
          other.send({ type: 'peer-lost', role: process.role, rank: process.rank });
        }
        onLost(error);
      });
    }
  }
}

/** Collects the address of every worker, and sends all of them to every worker. */
async function introduce(processes: readonly WorkerProcess[]): Promise<void> {
  const addresses = await Promise.all(processes.map((process) => process.reachable));
  const of = (role: WorkerRole): string[] =>
    addresses.filter((_, index) => processes[index]?.role === role);
  const message = {
    type: 'addresses-known' as const,
    attention: of('attention'),
    expert: of('expert'),
  };
  for (const process of processes) process.send(message);
}

async function stopAll(processes: readonly WorkerProcess[]): Promise<void> {
  await Promise.all(processes.map((process) => process.stop()));
}

function ranks(count: number): number[] {
  return Array.from({ length: count }, (_, rank) => rank);
}
