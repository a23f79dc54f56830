import { z } from 'zod';
import { count, option } from './option.js';

export const kvCacheOptions = {
  name: option(z.string().min(1).optional(), {
    help: 'what clients call the model',
    defaultText: "the directory's name",
  }),
  maxModelLen: option(count.optional(), {
    help: 'prompt and output tokens of one sequence',
    unit: 'tokens',
    defaultText: "the model's, as far as the KV pages reach",
  }),
  kvCacheDtype: option(z.enum(['bf16', 'int8']).default('bf16'), {
    help: 'type of cached keys and values; int8 holds about twice the tokens and rounds each once',
    metavar: 'type',
  }),
  kvMemoryBytes: option(count.default(1 << 30), {
    help: 'memory for keys and values of each attention worker, unless kvPages is given',
    unit: 'bytes',
  }),
  kvPages: option(count.optional(), {
    help: 'KV pages of each attention worker',
    defaultText: 'what kvMemoryBytes holds, at most maxNumSeqs full contexts',
  }),
  kvPageSize: option(count.multipleOf(16).default(16), {
    help: 'tokens of one KV page',
    unit: 'tokens',
  }),
  prefixSharing: option(z.boolean().default(true), {
    help: 'let sequences that begin with the same tokens share KV pages; changes no token',
  }),
};
