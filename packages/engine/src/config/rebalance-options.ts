import { z } from 'zod';

/** When and how far experts move by themselves. */
export const rebalanceSchema = z
  .object({
    /** How often it is asked whether experts should move. */
    intervalMs: z.int().positive().max(86_400_000).default(30_000),
    /** A move has to take so much of the busiest workers' predicted cost away. */
    margin: z.number().min(0).max(1).default(0.05),
    /** Bytes of weights that one move may load. */
    moveBytesMax: z
      .int()
      .positive()
      .default(1 << 30),
    /** Experts that each expert worker may hold beyond its even share. */
    spareExperts: z.int().nonnegative().max(4096).default(1),
    /** Traffic that is older by this counts half. */
    halfLifeMs: z.int().positive().max(86_400_000).default(60_000),
  })
  .strict();

export type RebalanceOptions = z.output<typeof rebalanceSchema>;
