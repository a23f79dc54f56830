import { defaultSplitRowsMin } from '@megascale/core';
import { z } from 'zod';
import { count, option } from './option.js';
import { rebalanceSchema } from './rebalance-options.js';

export const expertOptions = {
  expertReplicas: option(count.max(256).default(1), {
    help: 'expert workers that hold each expert: memory for balance',
  }),
  splitRowsMin: option(count.max(65_536).default(defaultSplitRowsMin), {
    help: 'rows of one expert that are worth another read of its weights by another holder',
    metavar: 'rows',
  }),
  rebalance: option(rebalanceSchema.optional(), {
    help: 'move experts between workers by recent traffic',
    metavar: 'settings',
    defaultText: 'experts stay',
    example: 'intervalMs=30s,margin=0.05,moveBytesMax=1GiB,spareExperts=1',
  }),
  moveBytesPerSecond: option(count.default(256 << 20), {
    help: 'weights that each expert worker reads per second while experts move',
    unit: 'bytes',
  }),
  expertLoadFile: option(z.string().min(1).optional(), {
    help: 'file that receives a trace of how many rows go to which expert; it is replaced',
    metavar: 'file',
    defaultText: 'no trace',
    isPath: () => true,
  }),
  expertLoadBytesMax: option(count.default(1 << 28), {
    help: 'length at which the trace of expert loads ends',
    unit: 'bytes',
  }),
  expertLoadWindowMs: option(count.max(3_600_000).default(1000), {
    help: 'time between two counts of expert loads, where they are traced or balanced',
    unit: 'ms',
  }),
};
