import { z } from 'zod';
import { count, option } from './option.js';

/** When and how far the coordinator moves experts by itself. */
export const rebalanceSchema = z.strictObject({
  intervalMs: option(count.max(86_400_000).default(30_000), {
    help: 'time between two looks at the balance',
    unit: 'ms',
  }),
  margin: option(z.number().min(0).max(1).default(0.05), {
    help: "share of the busiest workers' predicted cost that a move has to save",
  }),
  moveBytesMax: option(count.default(1 << 30), {
    help: 'weights that one move may load',
    unit: 'bytes',
  }),
  spareExperts: option(z.int().nonnegative().max(4096).default(1), {
    help: 'experts that each expert worker may hold beyond its uniform share',
  }),
  halfLifeMs: option(count.max(86_400_000).default(60_000), {
    help: 'age at which traffic counts half',
    unit: 'ms',
  }),
});

export type RebalanceOptions = z.output<typeof rebalanceSchema>;
