import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { deserializeError, TransportError, type PlacementEpoch } from '@megascale/core';
import { deferred } from '../protocol/deferred.js';
import { hostOf } from '../config/hosts.js';
import {
  protocolVersion,
  workerMessage,
  type CoordinatorMessage,
  type WorkerMessage,
} from '../protocol/messages.js';
import type { WorkerHandle, WorkerPools } from '../protocol/worker-handle.js';
import type { WorkerRole } from '../protocol/worker-role.js';
import type { EngineConfig } from '../config/engine-config.js';

/** How long a worker may take to end when asked, before it is killed. */
const stopLimitMs = 5_000;

export interface FleetOptions {
  readonly config: EngineConfig;
  readonly modelDirectory: string;
  /** What expert workers hold at the start. */
  readonly placement: PlacementEpoch;
  /** Start file of a worker process. */
  readonly workerFile: URL;
  /** Messages after start-up. */
  readonly onMessage: (worker: WorkerHandle, message: WorkerMessage) => void;
  /** A worker ended without being asked; called once per fleet, with the first cause. */
  readonly onLost: (error: Error) => void;
  readonly onReady?: (worker: WorkerHandle) => void;
}

/** The worker processes of one engine, from fork to exit. Nothing of it outlives `stop`. */
export class Fleet implements WorkerPools {
  readonly attention: readonly WorkerHandle[];
  readonly expert: readonly WorkerHandle[];
  /** Of the first worker that became ready; all are alike. */
  readonly backend: { readonly name: string; readonly isa: string };
  readonly #processes: readonly WorkerProcess[];

  private constructor(
    processes: readonly WorkerProcess[],
    backend: { readonly name: string; readonly isa: string },
  ) {
    this.#processes = processes;
    this.attention = processes.filter(({ role }) => role === 'attention');
    this.expert = processes.filter(({ role }) => role === 'expert');
    this.backend = backend;
  }

  /** Resolves when every worker is ready; rejects with the first worker's error, everything stopped. */
  static async start(options: FleetOptions): Promise<Fleet> {
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
      const answers = await Promise.all(
        processes.map(async (process) => {
          const answer = await process.ready;
          options.onReady?.(process);
          return answer;
        }),
      );
      const [first] = answers;
      const fleet = new Fleet(processes, { name: first?.backend ?? '', isa: first?.isa ?? '' });
      fleet.#watch(options);
      return fleet;
    } catch (error) {
      await stopAll(processes);
      throw error;
    }
  }

  /** Asks every worker to end, kills those that do not. Idempotent. */
  async stop(): Promise<void> {
    await stopAll(this.#processes);
  }

  #watch({ onLost }: FleetOptions): void {
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

/** Collects everyone's address and tells it to everyone. */
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

type Ready = Extract<WorkerMessage, { type: 'worker-ready' }>;

class WorkerProcess implements WorkerHandle {
  readonly role: WorkerRole;
  readonly rank: number;
  readonly reachable: Promise<string>;
  readonly ready: Promise<Ready>;
  /** Why it ended; undefined when it was asked to. */
  readonly lost: Promise<Error | undefined>;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #stopping = false;
  #failure: Error | undefined;

  constructor(role: WorkerRole, rank: number, options: FleetOptions) {
    this.role = role;
    this.rank = rank;
    // Workers own no terminal: their output joins this process's errors, so that stdout stays the program's.
    const host = hostOf(options.config.hosts, role, rank);
    const words = [...(host?.launch ?? []), process.execPath, fileURLToPath(options.workerFile)];
    this.#child = spawn(words[0] ?? process.execPath, words.slice(1), {
      stdio: ['ignore', 2, 2, 'ipc'],
      serialization: 'advanced',
    });
    const reachable = deferred<string>();
    const ready = deferred<Ready>();
    const lost = deferred<Error | undefined>();
    const exited = deferred<undefined>();
    this.reachable = reachable.promise;
    this.ready = ready.promise;
    this.lost = lost.promise;
    this.#exited = exited.promise;

    this.#child.on('message', (raw) => {
      const message = workerMessage.parse(raw);
      if (message.type === 'worker-reachable') reachable.resolve(message.address);
      else if (message.type === 'worker-ready') ready.resolve(message);
      else if (message.type === 'worker-failed') this.#failure ??= deserializeError(message.error);
      else options.onMessage(this, message);
    });
    const end = (error: Error): void => {
      reachable.reject(this.#failure ?? error);
      ready.reject(this.#failure ?? error);
      lost.resolve(this.#stopping ? undefined : (this.#failure ?? error));
      exited.resolve(undefined);
    };
    this.#child.on('error', (cause) => {
      end(this.#lossError('could not be started', cause));
    });
    this.#child.on('exit', (code, signal) => {
      const how = signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
      const finish = (): void => {
        end(this.#lossError(`ended unexpectedly (${how})`));
      };
      // Its last words may still be in the channel.
      if (this.#child.connected) this.#child.once('disconnect', finish);
      else finish();
    });
    this.send({
      type: 'worker-start',
      version: protocolVersion,
      role,
      rank,
      modelDirectory: options.modelDirectory,
      config: options.config,
      placement: {
        epoch: options.placement.epoch,
        placement: options.placement.placement.map((experts) =>
          experts.map((holders) => [...holders]),
        ),
      },
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  send(message: CoordinatorMessage): void {
    // The channel may close between the check and the write; the exit event tells what happened.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.send({ type: 'worker-stop' });
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), stopLimitMs);
    await this.#exited;
    clearTimeout(kill);
  }

  #lossError(what: string, cause?: unknown): TransportError {
    return new TransportError('ERR_PEER_CLOSED', {
      message: `The ${this.role} worker ${String(this.rank)} ${what}. Its log is above; requests in flight are lost, send them again.`,
      details: { role: this.role, rank: this.rank },
      cause,
    });
  }
}
