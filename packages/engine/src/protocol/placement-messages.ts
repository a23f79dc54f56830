import { z } from 'zod';

const index = z.int().nonnegative();
/** [layers][experts] the ranks that hold it. */
const placement = z.array(z.array(z.array(index)));

/** A placement and its epoch, as it travels. */
export const placementEpoch = z.object({ epoch: index, placement });

/** Coordinator → worker: the phases of a move, in their order (`MovePhase` of the scheduler). */
export const placementOrders = [
  /** Expert workers load what this placement gives them besides, so many bytes a second; answered by 'experts-loaded'. */
  z.object({
    type: z.literal('placement-planned'),
    ...placementEpoch.shape,
    bytesPerSecond: index,
  }),
  /** Expert workers serve frames of this epoch from now on; answered by 'placement-learned'. */
  z.object({ type: z.literal('placement-opened'), ...placementEpoch.shape }),
  /** Attention workers change over at their next step; answered by 'placement-adopted' once no older step is under way. */
  z.object({ type: z.literal('placement-changed'), ...placementEpoch.shape }),
  /** Expert workers retire older epochs and drop what this placement does not give them; answered by 'experts-dropped'. */
  z.object({ type: z.literal('placement-settled'), ...placementEpoch.shape }),
] as const;

const serializedError = z.object({
  name: z.string(),
  code: z.string().optional(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});

/** Worker → coordinator. */
export const placementAnswers = [
  z.object({
    type: z.literal('experts-loaded'),
    epoch: index,
    /** Each of one layer. */
    experts: index,
    bytes: z.number(),
    /** The longest time that loading kept the worker from its rows at a stretch. */
    longestPauseUs: z.number(),
    /** Why it could not load them all. */
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
