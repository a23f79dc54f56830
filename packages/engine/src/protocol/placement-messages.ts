import { z } from 'zod';

const index = z.int().nonnegative();
/** [layers][experts] the ranks that hold it. */
const placement = z.array(z.array(z.array(index)));

/** A placement and its epoch, as it travels. */
export const placementEpoch = z.object({ epoch: index, placement });

/** Coordinator → worker: the phases of a move, in their order (`MovePhase` of the scheduler). */
export const placementOrders = [
  /**
   * Expert workers load what they gain by this placement, so many bytes a second, and reply
   * 'experts-loaded'.
   */
  z.object({
    type: z.literal('placement-planned'),
    ...placementEpoch.shape,
    bytesPerSecond: index,
  }),
  /** Expert workers serve frames of this epoch from now on, and reply 'placement-learned'. */
  z.object({ type: z.literal('placement-opened'), ...placementEpoch.shape }),
  /**
   * Attention workers change over at their next step, and reply 'placement-adopted' once no older
   * step is under way.
   */
  z.object({ type: z.literal('placement-changed'), ...placementEpoch.shape }),
  /**
   * Expert workers retire older epochs, drop what this placement does not give them, and reply
   * 'experts-dropped'.
   */
  z.object({ type: z.literal('placement-settled'), ...placementEpoch.shape }),
] as const;

const serializedError = z.object({
  name: z.string(),
  code: z.string().optional(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});

/** Worker → coordinator. */
export const placementReplies = [
  z.object({
    type: z.literal('experts-loaded'),
    epoch: index,
    /** How many (layer, expert) pairs were loaded. */
    experts: index,
    bytes: z.number(),
    /** The longest time without a break that loading kept the worker from its rows. */
    longestPauseUs: z.number(),
    /** Present when the worker could not load them all. */
    error: serializedError.optional(),
  }),
  z.object({ type: z.literal('placement-learned'), epoch: index }),
  z.object({ type: z.literal('placement-adopted'), epoch: index }),
  z.object({
    type: z.literal('experts-dropped'),
    epoch: index,
    experts: index,
    bytes: z.number(),
  }),
] as const;
