import { z } from 'zod';
import { isPluginPath } from '../plugins/plugin-specifier.js';
import { count, option } from './option.js';

export const scheduleOptions = {
  policy: option(z.string().default('fcfs'), {
    help: 'who runs in a step: fcfs, prefill-first, slo-aware, a file (.js, .ts), or a package',
    metavar: 'policy',
    isPath: isPluginPath,
  }),
  policyTimeMs: option(count.max(60_000).default(50), {
    help: 'longest time for one plan of a policy of your own; fcfs replaces a slower one',
    unit: 'ms',
  }),
  ttftTargetMs: option(z.number().positive().exactOptional(), {
    help: 'wanted time to the first token of requests that name none, for slo-aware',
    unit: 'ms',
    defaultText: 'none',
  }),
  tpotTargetMs: option(z.number().positive().exactOptional(), {
    help: 'wanted time per output token of requests that name none, for slo-aware',
    unit: 'ms',
    defaultText: 'none',
  }),
  placeBy: option(z.enum(['time', 'tokens']).default('time'), {
    help: 'what chooses the attention worker of a new request: least predicted time or fewest tokens',
    metavar: 'measure',
  }),
  microBatches: option(z.union([count.max(8), z.literal('auto')]).optional(), {
    help: 'micro-batches in flight, or auto: the number that measured times ask for',
    metavar: 'm',
    defaultText: '2; 1 when colocated',
  }),
  microBatchesMax: option(count.max(8).default(4), {
    help: 'most micro-batches that auto chooses',
    metavar: 'm',
  }),
  overlapSteps: option(z.boolean().default(true), {
    help: 'start a step while later micro-batches of the step before still sample; changes no token',
  }),
  maxNumSeqs: option(count.default(256), {
    help: 'sequences that one attention worker runs at once',
  }),
  maxNumBatchedTokens: option(count.default(512), {
    help: 'prefill and decode tokens of one attention worker in one step',
    unit: 'tokens',
  }),
  prefillChunkTokens: option(count.default(256), {
    help: 'prompt tokens of one sequence in one step',
    unit: 'tokens',
  }),
  maxQueuedRequests: option(count.default(1024), {
    help: 'sequences that wait at one attention worker before requests are refused (429)',
  }),
};
