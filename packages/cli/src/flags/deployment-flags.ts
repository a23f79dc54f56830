import type { EmulatedLink } from '@megascale/core';
import { Option, type Command } from 'commander';
import type { Deployment } from '../compose.js';
import { presentFields } from '@megascale/core';
import { readEnvironment, type Environment } from '../environment.js';
import { gatherFlag } from './gather-flag.js';
import { hostsDeployment, hostsFile, type HostsFile } from './hosts-file.js';
import { emulatedLinkFlag } from './emulated-link-flag.js';
import { realNumber, wholeNumber } from './number-flags.js';
import { rebalanceFlag } from './rebalance-flag.js';
import { UsageError } from '../output/usage-error.js';

/** Values of the flags `addDeploymentFlags` adds, as commander names them. */
export interface DeploymentFlags {
  readonly attentionWorkers?: number;
  readonly expertWorkers?: number;
  readonly expertReplicas?: number;
  readonly rebalance?: NonNullable<Deployment['rebalance']>;
  readonly recordExpertLoad?: string;
  readonly microBatches?: number | 'auto';
  readonly overlapSteps?: boolean;
  readonly policy?: string;
  readonly policyTimeMs?: number;
  readonly ttftTargetMs?: number;
  readonly tpotTargetMs?: number;
  readonly prefixSharing?: boolean;
  readonly transport?: string;
  readonly emulateLink?: EmulatedLink;
  readonly backend?: string;
  readonly nullAttendUs?: number;
  readonly nullExpertUs?: number;
  readonly threads?: number;
  readonly spinUs?: number;
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
  const time = realNumber(0, 60_000_000);
  return addExpertFlags(addPolicyFlags(command))
    .option('--attention-workers <M>', 'attention workers (default: 1)', count)
    .option('--expert-workers <N>', 'expert workers (default: 1)', count)
    .option(
      '--micro-batches <m>',
      'micro-batches in flight, or auto (default: 2, colocated 1)',
      countOrAuto,
    )
    .option('--no-overlap-steps', 'start a step only when the one before has all its tokens')
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
    .option('--backend <name>', 'what computes: cpu, reference, null (default: cpu)')
    .option('--null-attend-us <µs>', 'null backend: time of each attention half', time)
    .option('--null-expert-us <µs>', 'null backend: time of each expert run', time)
    .option(
      '--threads <count>',
      'compute threads per worker (default: cores / workers of the pool)',
      count,
    )
    .option(
      '--spin-us <µs>',
      'how long a worker that waits for another spins before it sleeps (default: see docs)',
      wholeNumber(0, 60_000_000),
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

/** Who holds which expert. */
function addExpertFlags(command: Command): Command {
  const count = wholeNumber(1);
  return command
    .option('--expert-replicas <count>', 'expert workers that hold each expert (default: 1)', count)
    .option(
      '--rebalance [settings]',
      'move experts by recent traffic: interval=30,margin=0.05,budgetMib=1024,spare=1 (default: they stay)',
      rebalanceFlag,
    )
    .option('--record-expert-load <file>', 'write how many rows go to which expert, as a trace');
}

/** Who runs in a step. */
function addPolicyFlags(command: Command): Command {
  const count = wholeNumber(1);
  return command
    .option(
      '--policy <policy>',
      'who runs in a step: fcfs, prefill-first, slo-aware, a .js or .ts file, a package (default: fcfs)',
    )
    .option(
      '--policy-time-ms <ms>',
      'longest time for one plan of a policy of your own (default: 50)',
      count,
    )
    .option('--ttft-target-ms <ms>', 'wanted time to the first token, for slo-aware', count)
    .option('--tpot-target-ms <ms>', 'wanted time from token to token, for slo-aware', count)
    .option('--no-prefix-sharing', 'compute every prompt anew');
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
    rebalance: flags.rebalance === (true as unknown) ? {} : flags.rebalance,
    expertLoadFile: flags.recordExpertLoad,
    microBatches: flags.microBatches,
    // The parser says true where nothing was given.
    overlapSteps: flags.overlapSteps === false ? false : undefined,
    policy: flags.policy,
    policyTimeMs: flags.policyTimeMs,
    ttftTargetMs: flags.ttftTargetMs,
    tpotTargetMs: flags.tpotTargetMs,
    prefixSharing: flags.prefixSharing === false ? false : undefined,
    transport: flags.transport,
    emulatedLink: flags.emulateLink,
    backend: flags.backend,
    backendSettings: nullSettings(flags),
    threads: flags.threads,
    spinUs: flags.spinUs,
    isa: flags.isa,
    colocated: flags.colocated,
    kvPages: flags.kvPages,
    kvCacheDtype: flags.kvDtype,
    prefillChunkTokens: prefillChunk,
    maxNumBatchedTokens: batchTokens,
    gather: flags.gather,
    combine: flags.combine,
    ...hostsDeployment(flags.hosts, preSharedKey),
  };
}

/** Undefined without any: another backend may ignore settings, but should not be given some. */
function nullSettings({
  backend,
  nullAttendUs,
  nullExpertUs,
}: DeploymentFlags): Deployment['backendSettings'] {
  if (nullAttendUs === undefined && nullExpertUs === undefined) return undefined;
  if (backend !== 'null') {
    throw new UsageError('--null-attend-us and --null-expert-us need --backend null.');
  }
  return presentFields({ attendUs: nullAttendUs, expertUs: nullExpertUs });
}

/** 1 to 8, or 'auto'. */
function countOrAuto(text: string): number | 'auto' {
  return text === 'auto' ? text : wholeNumber(1, 8)(text);
}
