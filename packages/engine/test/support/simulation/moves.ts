import type { Placement } from '@megascale/core';
import { SimulatedWorld } from '@megascale/m2n/testing';
import type { WorkerHandle } from '../../../src/protocol/worker-handle.js';
import type { CoordinatorMessage } from '../../../src/protocol/messages.js';
import type { EngineConfig } from '../../../src/config/engine-config.js';
import { PlacementKeeper } from '../../../src/placement/placement-keeper.js';
import { ThreadControl } from '../../../src/worker/thread-control.js';
import { randomPlacement } from '../random-placement.js';
import { Mailbox, mailboxAt } from './mailbox.js';
import { firstPlacement, noteIdle, rankInWorld, type Answer, type WorldStart } from './rank.js';

/** What became of a schedule's moves. */
export interface MovesEnd {
  readonly done: number;
  readonly bytesMoved: number;
  readonly placement: Placement;
  readonly isMoving: boolean;
  readonly error: string | undefined;
}

/**
 * The coordinator's part in moves of experts: what ships keeps the placement; its fleet are the
 * ranks of the world.
 */
export async function playMoves(start: WorldStart): Promise<MovesEnd> {
  const { schedule, mailboxes } = start;
  const { attentionWorkers, expertWorkers } = schedule;
  const own = attentionWorkers + expertWorkers;
  const world = new SimulatedWorld(start.world, own);
  const control = new ThreadControl(start.control);
  const mailbox = new Mailbox<Answer>(mailboxAt(mailboxes, own));
  const handles = (role: Answer['role'], count: number): WorkerHandle[] =>
    Array.from({ length: count }, (_, rank) => {
      const place = rankInWorld(schedule, role, rank);
      const to = new Mailbox<CoordinatorMessage>(mailboxAt(mailboxes, place));
      const send = (message: CoordinatorMessage): void => {
        to.post(message);
        world.wake(place);
      };
      return { role, rank, pid: 0, send };
    });
  const pools = {
    attention: handles('attention', attentionWorkers),
    expert: handles('expert', expertWorkers),
  };
  const config = { colocated: false, combine: 'attention', expertWorkers };
  const keeper = new PlacementKeeper(config as EngineConfig, {
    epoch: 0,
    placement: firstPlacement(schedule),
  });
  const end = { done: 0, bytesMoved: 0, error: undefined as string | undefined };

  world.enter();
  try {
    for (const { atUs, seed, bytesPerSecond } of schedule.moves) {
      world.sleepUntil(atUs);
      if (control.stopReason() !== undefined) break;
      const to = randomPlacement(schedule, seed, expertWorkers);
      const moving = keeper.move(pools, to, bytesPerSecond);
      while (keeper.isMoving && control.stopReason() === undefined) {
        if (mailbox.isEmpty) world.sleepUntil(Infinity);
        for (const { role, rank, message } of mailbox.take()) {
          const worker = pools[role][rank];
          if (worker !== undefined) keeper.receive(worker, message);
        }
      }
      if (keeper.isMoving) break;
      end.done += 1;
      end.bytesMoved += (await moving).bytesMoved;
    }
    noteIdle(start, world);
  } catch (error) {
    end.error = String(error);
  } finally {
    world.leave();
  }
  return { ...end, placement: keeper.inForce.placement, isMoving: keeper.isMoving };
}
