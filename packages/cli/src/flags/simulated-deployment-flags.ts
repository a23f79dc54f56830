import { presentFields } from '@megascale/core';
import {
  builtInCatalogue,
  findAccelerator,
  mergeCatalogues,
  parseCatalogue,
  parsePlanFile,
  simulatedDeployment,
  type Catalogue,
  type Deployment,
  type ModelShape,
  type PlanFile,
  type ServingLimits,
  type SimulatedDeployment,
} from '@megascale/planner';
import type { Command } from 'commander';
import type { LlmOptions } from '@megascale/engine';
import { optionFlag } from './deployment-flags.js';
import { modelShapeOf } from '../commands/plan/model-shape-argument.js';
import { wholeNumber } from './number-flags.js';
import { readJsonFile } from '../output/read-json-file.js';
import { UsageError } from '../output/usage-error.js';

/** Values of the flags that `addSimulatedDeploymentFlags` adds. */
export interface SimulatedDeploymentFlags {
  readonly plan?: string;
  readonly catalogue?: string;
  readonly attentionGpu: string;
  readonly attentionWorkers: number;
  readonly attentionTp: number;
  readonly expertGpu: string;
  readonly expertWorkers?: number;
  readonly expertTp: number;
  readonly expertReplicas: number;
  readonly microBatches: number;
  readonly colocated?: boolean;
  readonly gather?: NonNullable<LlmOptions['gather']>;
  readonly overlapSteps: boolean;
  readonly kvPages?: number;
  readonly maxNumBatchedTokens?: number;
  readonly prefillChunkTokens?: number;
  readonly maxNumSeqs?: number;
}

/** What is simulated: a plan, or pools of accelerators. */
export function addSimulatedDeploymentFlags(command: Command): Command {
  const count = wholeNumber(1, 1024);
  return command
    .option('--plan <file>', 'the deployment of a plan, as written by plan --out')
    .option('--catalogue <file>', 'more accelerators, as JSON; same names replace')
    .option('--attention-gpu <name>', 'accelerator of the attention workers', 'H20')
    .option('--attention-workers <M>', 'attention workers', count, 4)
    .option('--attention-tp <tp>', 'accelerators of each', count, 1)
    .option('--expert-gpu <name>', 'accelerator of the expert workers', 'L40S')
    .option('--expert-workers <N>', 'expert workers (default: one per expert)', count)
    .option('--expert-tp <tp>', 'accelerators of each', count, 1)
    .option('--expert-replicas <count>', 'expert workers that hold each expert', count, 1)
    .option('--micro-batches <m>', 'micro-batches in flight', wholeNumber(1, 8), 3)
    .option('--colocated', 'both halves in each attention worker, without expert workers')
    .addOption(optionFlag('gather', 'lockstep'))
    .option('--no-overlap-steps', 'start a step only when the one before has all its tokens')
    .addOption(optionFlag('kvPages', 'what fits'))
    .addOption(optionFlag('maxNumBatchedTokens'))
    .addOption(optionFlag('prefillChunkTokens'))
    .addOption(optionFlag('maxNumSeqs'));
}

export interface SimulationTarget extends SimulatedDeployment {
  readonly modelName: string;
  readonly deployment: Deployment;
}

/** @throws UsageError, ConfigError */
export function simulationTarget(
  model: string | undefined,
  flags: SimulatedDeploymentFlags,
): SimulationTarget {
  const plan =
    flags.plan === undefined ? undefined : parsePlanFile(readJsonFile(flags.plan), flags.plan);
  const name = model ?? plan?.model.name;
  if (name === undefined) throw new UsageError('Give a MODEL or a --plan.');
  const shape = modelShapeOf(name);
  const catalogue = catalogueOf(flags.catalogue);
  const deployment =
    plan === undefined
      ? deploymentOfFlags(shape, flags, catalogue)
      : deploymentOfPlan(plan, catalogue);
  const simulated = simulatedDeployment(shape, deployment);
  const { gather, overlapSteps } = flags;
  return {
    modelName: shape.name,
    deployment,
    accelerators: simulated.accelerators,
    instance: {
      ...simulated.instance,
      overlapSteps,
      ...(gather === undefined ? {} : { gather }),
    },
    limits: { ...simulated.limits, ...limitsOf(flags) },
  };
}

function limitsOf(flags: SimulatedDeploymentFlags): Partial<ServingLimits> {
  const { kvPages, maxNumBatchedTokens, prefillChunkTokens, maxNumSeqs } = flags;
  return presentFields({ kvPages, maxNumBatchedTokens, prefillChunkTokens, maxNumSeqs });
}

function catalogueOf(file: string | undefined): Catalogue {
  const known = builtInCatalogue();
  return file === undefined
    ? known
    : mergeCatalogues(known, parseCatalogue(readJsonFile(file), file));
}

function deploymentOfFlags(
  { expertCount }: ModelShape,
  flags: SimulatedDeploymentFlags,
  catalogue: Catalogue,
): Deployment {
  const attention = {
    accelerator: findAccelerator(catalogue, flags.attentionGpu),
    tensorParallel: flags.attentionTp,
    workers: flags.attentionWorkers,
  };
  if (flags.colocated === true) {
    const parallelism = attention.workers > 1 ? 'expert' : 'tensor';
    return {
      kind: 'colocated',
      parallelism,
      pool: attention,
      pipelineParallel: 1,
      microBatchCount: 1,
    };
  }
  const { expertReplicas: replicas, expertWorkers: workers = expertCount * replicas } = flags;
  const expertsPerWorker = (expertCount * replicas) / workers;
  if (!Number.isInteger(expertsPerWorker)) {
    throw new UsageError(
      `${expertCount} experts with ${replicas} replicas do not divide over ${workers} expert workers.`,
    );
  }
  const accelerator = findAccelerator(catalogue, flags.expertGpu);
  return {
    kind: 'disaggregated',
    attention,
    microBatchCount: flags.microBatches,
    expert: { accelerator, tensorParallel: flags.expertTp, workers, expertsPerWorker, replicas },
  };
}

function deploymentOfPlan({ deployment }: PlanFile, catalogue: Catalogue): Deployment {
  type PoolData = Extract<PlanFile['deployment'], { kind: 'colocated' }>['pool'];
  const pool = ({ accelerator, tensorParallel, workers }: PoolData) => ({
    accelerator: findAccelerator(catalogue, accelerator),
    tensorParallel,
    workers,
  });
  if (deployment.kind === 'colocated') return { ...deployment, pool: pool(deployment.pool) };
  const { attention, expert, microBatchCount } = deployment;
  const { expertsPerWorker, replicas } = expert;
  return {
    kind: 'disaggregated',
    microBatchCount,
    attention: pool(attention),
    expert: { ...pool(expert), expertsPerWorker, replicas },
  };
}
