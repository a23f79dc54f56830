import { join } from 'node:path';
import { buildModelGraph } from '@megascale/core';
import { parsePlanFile, requireSameModel } from '@megascale/planner';
import type { Deployment } from '../compose.js';
import { readJsonFile } from '../output/read-json-file.js';

/** What a plan file asks of `serve`. */
export interface PlannedDeployment {
  readonly deployment: Deployment;
  /** Where what runs differs from what was planned. */
  readonly notes: readonly string[];
}

/**
 * What `--plan` says of the deployment. The option colocated leaves its pools out, and so do pool
 * flags a colocated plan.
 *
 * @throws UsageError, ConfigError: the file cannot be read, is no plan, or is for another model
 */
export function planOfFlags(
  directory: string,
  flags: Deployment & { readonly plan?: string | undefined },
): PlannedDeployment {
  if (flags.plan === undefined) return { deployment: {}, notes: [] };
  const plan = parsePlanFile(readJsonFile(flags.plan), flags.plan);
  requireSameModel(plan, buildModelGraph(readJsonFile(join(directory, 'config.json'))).sizes);
  const { colocated, transport, ...pools } = plan.serve;
  const apart = flags.colocated !== true && (!colocated || flags.expertWorkers !== undefined);
  if (!apart) return { deployment: { colocated: true }, notes: plan.notes };
  return {
    deployment: colocated ? {} : { ...pools, transport },
    notes: plan.notes,
  };
}
