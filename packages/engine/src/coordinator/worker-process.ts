import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { deserializeError, TransportError, type PlacementEpoch } from '@megascale/core';
import type { EngineConfig } from '../config/engine-config.js';
import { hostOf } from '../config/hosts.js';
import { deferred } from '../protocol/deferred.js';
import {
  protocolVersion,
  workerMessage,
  type CoordinatorMessage,
  type WorkerMessage,
} from '../protocol/messages.js';
import type { WorkerHandle } from '../protocol/worker-handle.js';
import type { WorkerRole } from '../protocol/worker-role.js';

/** How long a worker may take to end when asked, before it is killed. */
const stopLimitMs = 5_000;

export interface WorkerProcessOptions {
  readonly config: EngineConfig;
  readonly modelDirectory: string;
  /** What the expert workers hold at the start. */
  readonly placement: PlacementEpoch;
  /** Start file of a worker process. */
  readonly workerFile: URL;
  /** Receives every message that comes after start-up. */
  readonly onMessage: (worker: WorkerHandle, message: WorkerMessage) => void;
}

type Ready = Extract<WorkerMessage, { type: 'worker-ready' }>;

/** One worker process, from spawn to exit. */
export class WorkerProcess implements WorkerHandle {
  readonly role: WorkerRole;
  readonly rank: number;
  readonly #child: ChildProcess;
  readonly #reachable = deferred<string>();
  readonly #ready = deferred<Ready>();
  readonly #lost = deferred<Error | undefined>();
  readonly #exited = deferred<undefined>();
  #stopping = false;
  #failure: Error | undefined;

  constructor(role: WorkerRole, rank: number, options: WorkerProcessOptions) {
    this.role = role;
    this.rank = rank;
    // Workers own no terminal: what they print joins the errors of this process, so that stdout
    // stays the program's.
    const host = hostOf(options.config.hosts, role, rank);
    const words = [...(host?.launch ?? []), process.execPath, fileURLToPath(options.workerFile)];
    this.#child = spawn(words[0] ?? process.execPath, words.slice(1), {
      stdio: ['ignore', 2, 2, 'ipc'],
      serialization: 'advanced',
    });
    this.#listen(options.onMessage);
    const { epoch, placement } = options.placement;
    this.send({
      type: 'worker-start',
      version: protocolVersion,
      role,
      rank,
      modelDirectory: options.modelDirectory,
      config: options.config,
      placement: {
        epoch,
        placement: placement.map((experts) => experts.map((holders) => [...holders])),
      },
    });
  }

  /** Resolves with the address at which the other pool reaches this worker. */
  get reachable(): Promise<string> {
    return this.#reachable.promise;
  }

  get ready(): Promise<Ready> {
    return this.#ready.promise;
  }

  /** Resolves with the reason why the worker ended; undefined when it was asked to. */
  get lost(): Promise<Error | undefined> {
    return this.#lost.promise;
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
    await this.#exited.promise;
    clearTimeout(kill);
  }

  #listen(onMessage: WorkerProcessOptions['onMessage']): void {
    this.#child.on('message', (raw) => {
      const message = workerMessage.parse(raw);
      if (message.type === 'worker-reachable') this.#reachable.resolve(message.address);
      else if (message.type === 'worker-ready') this.#ready.resolve(message);
      else if (message.type === 'worker-failed') this.#failure ??= deserializeError(message.error);
      else onMessage(this, message);
    });
    this.#child.on('error', (cause) => {
      this.#end(this.#lossError('could not be started', cause));
    });
    this.#child.on('exit', (code, signal) => {
      const how = signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
      const finish = (): void => {
        this.#end(this.#lossError(`ended unexpectedly (${how})`));
      };
      // Its last messages may still be in the channel.
      if (this.#child.connected) this.#child.once('disconnect', finish);
      else finish();
    });
  }

  #end(error: Error): void {
    const cause = this.#failure ?? error;
    this.#reachable.reject(cause);
    this.#ready.reject(cause);
    this.#lost.resolve(this.#stopping ? undefined : cause);
    this.#exited.resolve(undefined);
  }

  #lossError(what: string, cause?: unknown): TransportError {
    return new TransportError('ERR_PEER_CLOSED', {
      message:
        `The ${this.role} worker ${String(this.rank)} ${what}. ` +
        'Its log is above; requests in flight are lost, send them again.',
      details: { role: this.role, rank: this.rank },
      cause,
    });
  }
}
