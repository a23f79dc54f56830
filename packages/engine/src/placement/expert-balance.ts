import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock, Placement } from '@megascale/core';
import {
  PlacementPlanner,
  type Imbalance,
  type LoadTraceHeader,
  type PlacementProposal,
} from '@megascale/scheduler';
import type { LoadTraceFile } from './load-trace-file.js';
import type { WorkerMessage } from '../protocol/messages.js';
import type { RebalanceOptions } from '../config/rebalance-options.js';

/** After this time planning lets requests go on. */
const sliceUs = 3_000;

export interface ExpertBalanceOptions extends LoadTraceHeader {
  readonly expertWorkers: number;
  /** Experts of a worker in a layer, spare ones left out. */
  readonly evenShare: number;
  readonly splitRowsMin: number;
  /** Of one expert in one layer. */
  readonly expertBytes: number;
  readonly rebalance: RebalanceOptions | undefined;
  readonly trace: LoadTraceFile | undefined;
  readonly clock: Clock;
  /** The placement in force; undefined while none can be moved. */
  readonly placement: () => Placement | undefined;
  /** Moves experts while they serve. */
  readonly move: (placement: Placement) => Promise<{ readonly bytesMoved: number }>;
  readonly onMoved?: (move: ExpertsMoved) => void;
  readonly onMoveFailed?: (error: Error) => void;
}

export interface ExpertsMoved {
  /** The imbalance of recent traffic under the placement before, and under the one now in force. */
  readonly before: Imbalance;
  readonly after: Imbalance;
  readonly bytes: number;
}

export interface ExpertBalanceStats {
  /**
   * The imbalance of recent traffic under the placement in force; absent before there was enough.
   */
  readonly imbalance?: Imbalance;
  readonly movesTotal: number;
  readonly movedBytesTotal: number;
  readonly lastMove?: ExpertsMoved;
}

/**
 * Receives how many rows go to which expert, records it, and moves experts where recent traffic
 * makes that worth the bytes.
 */
export class ExpertBalance {
  readonly #options: ExpertBalanceOptions;
  readonly #planner: PlacementPlanner | undefined;
  readonly #startUs: number;
  readonly #timer: NodeJS.Timeout | undefined;
  #planning = false;
  #closed = false;
  #stats: ExpertBalanceStats = { movesTotal: 0, movedBytesTotal: 0 };

  constructor(options: ExpertBalanceOptions) {
    const { rebalance, evenShare, expertCount } = options;
    this.#options = options;
    this.#startUs = options.clock.nowUs();
    if (rebalance === undefined) return;
    this.#planner = new PlacementPlanner({
      ...options,
      slotsPerWorker: Math.min(expertCount, evenShare + rebalance.spareExperts),
      moveBytesMax: rebalance.moveBytesMax,
      margin: rebalance.margin,
      halfLifeUs: rebalance.halfLifeMs * 1000,
    });
    this.#timer = setInterval(() => void this.rebalance(), rebalance.intervalMs);
    this.#timer.unref();
  }

  get stats(): ExpertBalanceStats {
    return this.#stats;
  }

  receive(message: WorkerMessage): void {
    if (message.type !== 'expert-load-counted') return;
    const { durationUs, dispatches, rows } = message;
    const endUs = this.#options.clock.nowUs() - this.#startUs;
    this.#options.trace?.add({
      startUs: Math.max(0, Math.round(endUs - durationUs)),
      durationUs,
      dispatches,
      rows,
    });
    this.#planner?.observe({ durationUs, dispatches, rows });
  }

  /** Decides once whether experts should move, and moves them. Never rejects. */
  async rebalance(): Promise<void> {
    const placement = this.#options.placement();
    if (this.#planning || placement === undefined || this.#planner === undefined) return;
    this.#planning = true;
    try {
      const imbalance = this.#planner.imbalance(placement);
      if (imbalance !== undefined) this.#stats = { ...this.#stats, imbalance };
      const proposal = await this.#plan(this.#planner, placement);
      if (proposal !== undefined && this.#options.placement() === placement) {
        await this.#move(proposal);
      }
    } catch (error) {
      this.#options.onMoveFailed?.(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#planning = false;
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#options.trace?.close();
  }

  /**
   * Plans in slices, so that requests go on. Returns undefined where no move is worth it, or the
   * engine was closed.
   */
  async #plan(
    planner: PlacementPlanner,
    placement: Placement,
  ): Promise<PlacementProposal | undefined> {
    const { clock } = this.#options;
    const slices = planner.proposeInSlices(placement);
    let sliceStartUs = clock.nowUs();
    for (;;) {
      const { done, value } = slices.next();
      if (done === true) return value;
      if (this.#closed) return undefined;
      if (clock.nowUs() - sliceStartUs < sliceUs) continue;
      await nextTurn();
      sliceStartUs = clock.nowUs();
    }
  }

  async #move({ placement, before, after }: PlacementProposal): Promise<void> {
    const { bytesMoved } = await this.#options.move(placement);
    const lastMove = { before, after, bytes: bytesMoved };
    const { movesTotal, movedBytesTotal } = this.#stats;
    this.#stats = {
      imbalance: after,
      movesTotal: movesTotal + 1,
      movedBytesTotal: movedBytesTotal + bytesMoved,
      lastMove,
    };
    this.#options.onMoved?.(lastMove);
  }
}
