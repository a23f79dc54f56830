import { z } from 'zod';
import { isPluginPath } from '../plugins/plugin-specifier.js';
import { networkSchema } from './hosts.js';
import { option } from './option.js';

export const gatherPolicy = z.union([
  z.object({ type: z.literal('lockstep') }),
  z.object({ type: z.literal('layer') }),
  z.object({
    type: z.literal('window'),
    windowUs: option(z.int().nonnegative(), {
      help: 'time that a layer stays open for more micro-batches',
      unit: 'µs',
    }),
  }),
]);

const linkTime = z.number().nonnegative().max(60_000_000);

export const emulatedLink = z.strictObject({
  latencyUs: option(linkTime.clone(), { help: 'delay of every message, one way', unit: 'µs' }),
  jitterUs: option(linkTime.exactOptional(), {
    help: 'most that is added at random to a delay',
    unit: 'µs',
    defaultText: 'none',
  }),
  gigabitsPerSecond: option(z.number().positive().exactOptional(), {
    help: 'rate of one direction between two workers',
    defaultText: 'unlimited',
  }),
  seed: option(z.int().exactOptional(), { help: 'seed of the jitter', defaultText: '0' }),
});

export const transportOptions = {
  transport: option(z.string().default('shm'), {
    help: 'what carries rows between the pools: shm, tcp, fabric, a file (.js), or a package',
    isPath: isPluginPath,
  }),
  network: option(networkSchema.default({}), {
    help: 'settings of transports that reach other hosts',
    metavar: 'settings',
    defaultText: 'none',
    example: 'busyPollUs=50,trafficClass=104,provider=verbs',
  }),
  gather: option(gatherPolicy.optional(), {
    help: 'when an expert worker starts: lockstep, layer, or window=µs',
    metavar: 'policy',
    defaultText: 'layer where threads outnumber cores, else lockstep',
    example: 'window=200',
  }),
  combine: option(z.enum(['attention', 'expert']).default('attention'), {
    help: "pool that sums a token's expert outputs; with expert the last bits depend on N",
    metavar: 'pool',
  }),
  spinUs: option(z.int().nonnegative().max(60_000_000).optional(), {
    help: 'how long a worker that waits for another spins before it sleeps',
    unit: 'µs',
    defaultText: '100 with bound threads, 0 where threads outnumber cores, else 50',
  }),
  emulatedLink: option(emulatedLink.optional(), {
    help: 'make the link between the pools look slower, for benchmarks on one machine',
    metavar: 'link',
    defaultText: 'the link as it is',
    example: 'latencyUs=100,jitterUs=10,gigabitsPerSecond=25,seed=1',
  }),
};
