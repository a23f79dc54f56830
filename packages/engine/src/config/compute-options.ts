import { z } from 'zod';
import { isPluginPath } from '../plugins/plugin-specifier.js';
import { count, option } from './option.js';

export const computeOptions = {
  backend: option(z.string().default('cpu'), {
    help: 'what computes: cpu, reference, null, a file (.js), or a package',
    isPath: isPluginPath,
  }),
  backendSettings: option(z.record(z.string(), z.number()).default({}), {
    help: 'settings that only this backend knows',
    metavar: 'settings',
    defaultText: 'none',
    example: 'attendUs=500,expertUs=200',
  }),
  isa: option(z.string().optional(), {
    help: 'kernel variant, see megascale doctor',
    defaultText: 'the best of this machine',
  }),
  threads: option(count.max(1024).optional(), {
    help: 'compute threads of each worker',
    defaultText: "the cores divided by the pool's workers, or by all where the pools overlap",
  }),
  bindThreads: option(z.boolean().optional(), {
    help: 'bind each compute thread to a core',
    defaultText: 'where each pool fills the machine and the pools take turns',
  }),
};
