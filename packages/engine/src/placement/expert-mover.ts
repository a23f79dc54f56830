import {
  residentExpertsByLayer,
  serializeError,
  type Clock,
  type ExpertId,
  type ExpertPort,
  type ExpertRank,
  type ExpertStage,
  type Placement,
  type PlacementEpoch,
} from '@megascale/core';
import { expertsBesides, MoveBudget, type LayerExpert } from '@megascale/scheduler';
import type { CoordinatorMessage } from '../protocol/messages.js';
import type { Inbox } from '../worker/thread-inbox.js';

/**
 * Loads go on without a break for this time, and then until the one under way ends: rows wait no
 * longer.
 */
const pauseUs = 2_000;

export interface ExpertMoverParts {
  readonly rank: ExpertRank;
  readonly stage: ExpertStage;
  readonly port: ExpertPort;
  readonly layerCount: number;
  /** The placement at the start. */
  readonly placement: Placement;
  readonly clock: Clock;
  readonly inbox: Pick<Inbox, 'send'>;
}

interface Loading {
  readonly epoch: number;
  readonly loads: readonly LayerExpert[];
  next: number;
  bytes: number;
  longestPauseUs: number;
  readonly budget: MoveBudget;
}

/**
 * The part of an expert worker in a move. It loads weights one (layer, expert) at a time, between
 * two inputs or while there is nothing to serve, on the thread that serves: the stage has one
 * caller.
 */
export class ExpertMover {
  readonly #parts: ExpertMoverParts;
  /** [layers] experts that are loaded here, or are about to be. */
  readonly #experts: readonly Set<ExpertId>[];
  #loading: Loading | undefined;

  constructor(parts: ExpertMoverParts) {
    this.#parts = parts;
    this.#experts = this.#residents(parts.placement).map((ids) => new Set(ids));
  }

  receive(message: CoordinatorMessage): void {
    switch (message.type) {
      case 'placement-planned':
        this.#plan(placementOf(message), message.bytesPerSecond);
        return;
      case 'placement-opened':
        this.#parts.port.learnPlacement(placementOf(message));
        this.#parts.inbox.send({ type: 'placement-learned', epoch: message.epoch });
        return;
      case 'placement-settled':
        this.#settle(placementOf(message));
        return;
      default:
    }
  }

  /** Loads more of what is to be loaded, as far as the budget and the pause allow. */
  work(): void {
    const loading = this.#loading;
    if (loading === undefined) return;
    const { clock } = this.#parts;
    const fromUs = clock.nowUs();
    let nowUs = fromUs;
    try {
      while (loading.next < loading.loads.length && nowUs - fromUs < pauseUs) {
        if (!loading.budget.allows(nowUs)) break;
        const bytes = this.#load(loading);
        loading.budget.spend(bytes, nowUs);
        nowUs = clock.nowUs();
      }
    } catch (error) {
      this.#end(loading, error);
      return;
    }
    loading.longestPauseUs = Math.max(loading.longestPauseUs, nowUs - fromUs);
    if (loading.next === loading.loads.length) this.#end(loading);
  }

  #plan({ epoch, placement }: PlacementEpoch, bytesPerSecond: number): void {
    const gained = expertsBesides(this.#residents(placement), this.#experts);
    for (const { layer, expert } of gained) this.#experts[layer]?.add(expert);
    this.#loading = {
      epoch,
      loads: gained,
      next: 0,
      bytes: 0,
      longestPauseUs: 0,
      budget: new MoveBudget(bytesPerSecond),
    };
    this.work();
  }

  #load(loading: Loading): number {
    const load = loading.loads[loading.next];
    if (load === undefined) return 0;
    const bytes = this.#parts.stage.load(load.layer, load.expert);
    loading.next += 1;
    loading.bytes += bytes;
    return bytes;
  }

  #end({ epoch, loads, bytes, longestPauseUs }: Loading, error?: unknown): void {
    this.#loading = undefined;
    const failure = error === undefined ? {} : { error: serializeError(error) };
    const loaded = { epoch, experts: loads.length, bytes, longestPauseUs };
    this.#parts.inbox.send({ type: 'experts-loaded', ...loaded, ...failure });
  }

  #settle({ epoch, placement }: PlacementEpoch): void {
    const { port, stage, inbox } = this.#parts;
    this.#loading = undefined;
    port.retirePlacements(epoch - 1);
    const lost = expertsBesides(this.#experts, this.#residents(placement));
    let bytes = 0;
    for (const { layer, expert } of lost) {
      bytes += stage.drop(layer, expert);
      this.#experts[layer]?.delete(expert);
    }
    inbox.send({ type: 'experts-dropped', epoch, experts: lost.length, bytes });
  }

  #residents(placement: Placement): readonly (readonly ExpertId[])[] {
    const { rank, layerCount } = this.#parts;
    return residentExpertsByLayer(placement, rank, layerCount);
  }
}

function placementOf(message: { readonly epoch: number; readonly placement: number[][][] }) {
  return { epoch: message.epoch, placement: message.placement as unknown as Placement };
}
