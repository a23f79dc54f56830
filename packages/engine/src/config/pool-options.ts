import { z } from 'zod';
import { hostSchema } from './hosts.js';
import { count, option } from './option.js';

export const poolOptions = {
  colocated: option(z.boolean().default(false), {
    help: 'compute attention and experts in the same workers, without a transport: the baseline',
  }),
  attentionWorkers: option(count.max(64).default(1), { help: 'attention workers', metavar: 'M' }),
  expertWorkers: option(count.max(256).default(1), {
    help: 'expert workers, at most as many as the model has experts',
    metavar: 'N',
  }),
  hosts: option(z.array(hostSchema).max(1024).default([]), {
    help: 'which workers run on which host: a JSON or YAML file with the list',
    metavar: 'file',
    defaultText: 'all workers run here',
    example: '[{"name":"a","address":"10.0.0.1","attention":[0],"expert":[0]}]',
  }),
};
