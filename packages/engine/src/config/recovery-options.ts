import { z } from 'zod';
import { count, option } from './option.js';

export const recoveryOptions = {
  peerTimeoutMs: option(count.default(10_000), {
    help: 'silence after which a worker that owes an answer is lost',
    unit: 'ms',
  }),
  restartsMax: option(z.int().nonnegative().default(3), {
    help: 'restarts of lost workers before the engine gives up',
  }),
  recorderEvents: option(
    z
      .int()
      .nonnegative()
      .max(1 << 20)
      .default(16_384),
    { help: "newest events that each worker's flight recorder keeps; 0 turns it off" },
  ),
};
