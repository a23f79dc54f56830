import { availableParallelism } from 'node:os';
import { figuresOf, type M2nFigures } from './m2n-figures.js';
import { runOurs } from './roles/our-processes.js';
import { planOf, type Traffic } from './traffic.js';
import type { MeasureOptions } from './measure-options.js';

/**
 * One measurement of a transport of ours, from TypeScript: its ranks run as processes of their own
 * for this one call. @throws BenchError when a process fails or the transport cannot be had.
 */
export async function measurePoint(traffic: Traffic, options: MeasureOptions): Promise<M2nFigures> {
  const plan = planOf(traffic, availableParallelism());
  return figuresOf(plan, await runOurs(traffic, plan, options));
}
