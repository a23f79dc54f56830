import {
  ConfigError,
  deserializeError,
  layerPlacement,
  RequestError,
  systemClock,
  type Placement,
  type PlacementEpoch,
} from '@megascale/core';
import {
  advanceMove,
  beginMove,
  checkMovedPlacement,
  placementInForce,
  planMove,
  poolOfPhase,
  type MovePhase,
  type MoveState,
  type OpenPhase,
} from '@megascale/scheduler';
import { deferred, type Deferred } from '../protocol/deferred.js';
import type { WorkerHandle, WorkersByRole } from '../protocol/worker-handle.js';
import type { CoordinatorMessage, WorkerMessage } from '../protocol/messages.js';
import type { EngineConfig } from '../config/engine-config.js';

/** What a move of experts did. */
export interface MoveReport {
  /** The epoch of the placement in force now. */
  readonly epoch: number;
  /** (Layer, expert, worker) triples that were loaded, and that were dropped. */
  readonly expertsLoaded: number;
  readonly expertsDropped: number;
  /** Bytes of weights, as expert workers hold them. */
  readonly bytesMoved: number;
  readonly bytesDropped: number;
  /** The longest time without a break that loading kept one expert worker from its rows. */
  readonly longestPauseMs: number;
  readonly elapsedMs: number;
}

type MoveReply = Extract<
  WorkerMessage,
  { type: 'experts-loaded' | 'placement-learned' | 'placement-adopted' | 'experts-dropped' }
>;

interface Move {
  readonly from: PlacementEpoch;
  readonly to: PlacementEpoch;
  readonly workers: WorkersByRole;
  readonly bytesPerSecond: number;
  readonly startUs: number;
  readonly end: Deferred<MoveReport>;
  state: MoveState;
  readonly report: { -readonly [Field in keyof MoveReport]: MoveReport[Field] };
  error: Error | undefined;
}

/** The placement in force, and the one move of experts that may be under way. */
export class PlacementKeeper {
  readonly #config: EngineConfig;
  #inForce: PlacementEpoch;
  /** The newest epoch of any move so far. The epoch of an undone move is not used again. */
  #newestEpoch: number;
  #move: Move | undefined;

  constructor(config: EngineConfig, start: PlacementEpoch) {
    this.#config = config;
    this.#inForce = start;
    this.#newestEpoch = start.epoch;
  }

  /** The placement that workers have when they start. */
  get inForce(): PlacementEpoch {
    return this.#inForce;
  }

  get isMoving(): boolean {
    return this.#move !== undefined;
  }

  /**
   * Moves experts between the workers. Rejects when a worker cannot load its experts, or is lost.
   *
   * @throws ConfigError 'ERR_CONFIG_FIELD' for an impossible placement, or a deployment whose
   * experts cannot move; RequestError 'ERR_UNAVAILABLE' during another move.
   */
  move(workers: WorkersByRole, asked: unknown, bytesPerSecond: number): Promise<MoveReport> {
    const placement = this.#checked(asked);
    const layerCount = this.#inForce.placement.length;
    const plan = planMove(this.#inForce.placement, placement, {
      expertWorkerCount: this.#config.expertWorkers,
      layerCount,
    });
    const noReport = { expertsLoaded: 0, expertsDropped: 0, bytesMoved: 0, bytesDropped: 0 };
    const report = { ...noReport, epoch: this.#inForce.epoch, longestPauseMs: 0, elapsedMs: 0 };
    if ([...plan.gained, ...plan.lost].every((experts) => experts.length === 0)) {
      return Promise.resolve(report);
    }
    const everyLayer = Array.from({ length: layerCount }, (_, layer) =>
      layerPlacement(placement, layer).map((ranks) => [...ranks]),
    );
    const to = { epoch: ++this.#newestEpoch, placement: everyLayer };
    this.#move = {
      from: this.#inForce,
      to,
      workers,
      bytesPerSecond,
      startUs: systemClock.nowUs(),
      end: deferred<MoveReport>(),
      state: beginMove(countsOf(workers)),
      report,
      error: undefined,
    };
    this.#send(this.#move);
    return this.#move.end.promise;
  }

  receive(worker: WorkerHandle, message: WorkerMessage): void {
    const move = this.#move;
    if (move === undefined || !isMoveReply(message)) return;
    const phase = phaseOf(message, move.state.phase);
    // The reply belongs to a move before, or to workers that are gone.
    const { epoch } = phase === 'undoing' ? move.from : move.to;
    if (message.epoch !== epoch) return;
    const failed = note(move, message);
    const before = move.state.phase;
    move.state = advanceMove(
      move.state,
      { phase, rank: worker.rank, failed },
      countsOf(move.workers),
    );
    if (move.state.phase === before) return;
    if (placementInForce(move.state) === 'new') this.#inForce = move.to;
    this.#send(move);
  }

  /**
   * Ends the move with an error: the workers are gone, and those that come next have the placement
   * in force.
   */
  fail(error: Error): void {
    this.#move?.end.reject(error);
    this.#move = undefined;
  }

  #send(move: Move): void {
    const { phase } = move.state;
    if (phase === 'done' || phase === 'undone') {
      this.#move = undefined;
      move.report.epoch = this.#inForce.epoch;
      move.report.elapsedMs = (systemClock.nowUs() - move.startUs) / 1000;
      if (move.error === undefined) move.end.resolve(move.report);
      else move.end.reject(move.error);
      return;
    }
    const order = orderOf(phase, move);
    for (const worker of move.workers[poolOfPhase[phase]]) worker.send(order);
  }

  #checked(placement: unknown): Placement {
    const { colocated, combine, expertWorkers } = this.#config;
    if (colocated) throw cannotMove('colocated', 'a colocated worker holds every expert');
    if (combine === 'expert') {
      const why = "under combine: 'expert' a request's tokens depend on the placement";
      throw cannotMove('combine', why);
    }
    const layerCount = this.#inForce.placement.length;
    const expertCount = this.#inForce.placement[0]?.length ?? 0;
    const expertWorkerCount = expertWorkers;
    checkMovedPlacement(placement, { layerCount, expertCount, expertWorkerCount });
    if (this.#move === undefined) return placement;
    throw new RequestError('ERR_UNAVAILABLE', {
      message:
        `Experts are being moved to placement epoch ${String(this.#move.to.epoch)}. ` +
        'One move runs at a time: await it, then ask again.',
      details: { epoch: this.#move.to.epoch, phase: this.#move.state.phase },
    });
  }
}

function countsOf({ attention, expert }: WorkersByRole): Record<keyof WorkersByRole, number> {
  return { attention: attention.length, expert: expert.length };
}

function cannotMove(path: string, why: string): ConfigError {
  return new ConfigError('ERR_CONFIG_FIELD', {
    message: `Experts cannot be moved: ${why}. Load the model without ${path}.`,
    details: { path },
  });
}

function isMoveReply(message: WorkerMessage): message is MoveReply {
  switch (message.type) {
    case 'experts-loaded':
    case 'placement-learned':
    case 'placement-adopted':
    case 'experts-dropped':
      return true;
    default:
      return false;
  }
}

function phaseOf({ type }: MoveReply, phase: MovePhase): OpenPhase {
  switch (type) {
    case 'experts-loaded':
      return 'loading';
    case 'placement-learned':
      return 'learning';
    case 'placement-adopted':
      return 'adopting';
    case 'experts-dropped':
      return phase === 'undoing' ? 'undoing' : 'dropping';
  }
}

/** Adds a reply to the report. Returns true when the worker could not load its experts. */
function note(move: Move, message: MoveReply): boolean {
  const { report } = move;
  if (message.type === 'experts-dropped') {
    report.expertsDropped += message.experts;
    report.bytesDropped += message.bytes;
  }
  if (message.type !== 'experts-loaded') return false;
  report.expertsLoaded += message.experts;
  report.bytesMoved += message.bytes;
  report.longestPauseMs = Math.max(report.longestPauseMs, message.longestPauseUs / 1000);
  if (message.error === undefined) return false;
  move.error ??= deserializeError(message.error);
  return true;
}

function orderOf(phase: OpenPhase, { from, to, bytesPerSecond }: Move): CoordinatorMessage {
  const travelling = ({ epoch, placement }: PlacementEpoch) => ({
    epoch,
    placement: placement.map((experts) => experts.map((ranks) => [...ranks])),
  });
  switch (phase) {
    case 'loading':
      return { type: 'placement-planned', ...travelling(to), bytesPerSecond };
    case 'learning':
      return { type: 'placement-opened', ...travelling(to) };
    case 'adopting':
      return { type: 'placement-changed', ...travelling(to) };
    case 'dropping':
      return { type: 'placement-settled', ...travelling(to) };
    case 'undoing':
      return { type: 'placement-settled', ...travelling(from) };
  }
}
