import type { Plugin } from '@megascale/core';
import { fcfs } from './policies/fcfs.js';
import { prefillFirst } from './policies/prefill-first.js';
import { sloAware } from './policies/slo-aware.js';

/** The policies of this package, for `--policy NAME` and for worker processes. */
export const plugin: Plugin = { policies: [fcfs, prefillFirst, sloAware()] };
