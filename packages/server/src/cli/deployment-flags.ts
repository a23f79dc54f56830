import type { EmulatedLink } from '@megascale/core';
import { Option, type Command } from 'commander';
import type { Deployment } from '../compose.js';
import { readEnvironment, type Environment } from '../config.js';
import { gatherFlag } from './gather-flag.js';
import { hostsDeployment, hostsFile, type HostsFile } from './hosts-file.js';
import { emulatedLinkFlag } from './emulated-link-flag.js';
import { wholeNumber } from './number-flags.js';

/** Values of the flags `addDeploymentFlags` adds, as commander names them. */
export interface DeploymentFlags {
  readonly attentionWorkers?: number;
  readonly expertWorkers?: number;
  readonly expertReplicas?: number;
  readonly microBatches?: number;
  readonly transport?: string;
  readonly emulateLink?: EmulatedLink;
  readonly backend?: string;
  readonly threads?: number;
  readonly isa?: string;
  readonly colocated?: boolean;
  readonly kvPages?: number;
  readonly kvDtype?: 'bf16' | 'int8';
  readonly prefillChunk?: number;
  readonly batchTokens?: number;
  readonly gather?: Deployment['gather'];
  readonly combine?: Deployment['combine'];
  readonly hosts?: HostsFile;
}

/** How the model is to run: the same flags for every command that runs one. */
export function addDeploymentFlags(command: Command): Command {
  const count = wholeNumber(1);
  return command
    .option('--attention-workers <M>', 'attention workers (default: 1)', count)
    .option('--expert-workers <N>', 'expert workers (default: 1)', count)
    .option('--expert-replicas <count>', 'expert workers that hold each expert (default: 1)', count)
    .option('--micro-batches <m>', 'micro-batches in flight (default: 2, colocated 1)', count)
    .option(
      '--transport <name>',
      'what carries rows between the pools: shm, tcp, fabric (default: shm)',
    )
    .option(
      '--hosts <file>',
      'which workers run on which host, and the network between, as JSON',
      hostsFile,
    )
    .option(
      '--gather <policy>',
      'when an expert worker starts: lockstep, layer, window=<µs> (default: see docs)',
      gatherFlag,
    )
    .option(
      '--emulate-link <link>',
      'let the transport look slower, for benchmarks: latencyUs=100,jitterUs=10,gbps=25',
      emulatedLinkFlag,
    )
    .addOption(
      new Option('--combine <who>', "who sums a token's answers (default: attention)").choices([
        'attention',
        'expert',
      ]),
    )
    .option('--backend <name>', 'what computes: cpu, reference (default: cpu)')
    .option(
      '--threads <count>',
      'compute threads per worker (default: cores / workers of the pool)',
      count,
    )
    .option('--isa <name>', 'force one kernel variant, see doctor (default: the best)')
    .option('--colocated', 'both halves of each layer in one worker, no transport')
    .option('--kv-pages <count>', 'KV pages per attention worker (default: 1 GiB of them)', count)
    .addOption(
      new Option('--kv-dtype <type>', 'keep keys and values as (default: bf16)').choices([
        'bf16',
        'int8',
      ]),
    )
    .option(
      '--prefill-chunk <tokens>',
      'prompt tokens of one sequence per step (default: 256)',
      count,
    )
    .option(
      '--batch-tokens <tokens>',
      'tokens of one attention worker per step (default: 512)',
      count,
    );
}

export function deploymentOf(
  flags: DeploymentFlags,
  { preSharedKey }: Environment = readEnvironment(),
): Deployment {
  const { prefillChunk, batchTokens } = flags;
  return {
    attentionWorkers: flags.attentionWorkers,
    expertWorkers: flags.expertWorkers,
    expertReplicas: flags.expertReplicas,
    microBatches: flags.microBatches,
    transport: flags.transport,
    emulatedLink: flags.emulateLink,
    backend: flags.backend,
    threads: flags.threads,
    isa: flags.isa,
    colocated: flags.colocated,
    kvPages: flags.kvPages,
    kvDType: flags.kvDtype,
    prefillChunkTokens: prefillChunk,
    tokensPerStepMax: batchTokens,
    gather: flags.gather,
    combine: flags.combine,
    ...hostsDeployment(flags.hosts, preSharedKey),
  };
}
