import { isIP } from 'node:net';
import { ConfigError } from '@megascale/core';
import { z } from 'zod';
import type { WorkerRole } from '../protocol/worker-role.js';

const rank = z.int().nonnegative();

export const networkSchema = z
  .object({
    /** At least 16 bytes; see `NetworkOptions` of @megascale/core for these fields. */
    preSharedKey: z
      .string()
      .refine((key) => Buffer.byteLength(key) >= 16, 'must have at least 16 bytes')
      .optional(),
    busyPollUs: z.int().nonnegative().max(1_000_000).optional(),
    trafficClass: z.int().min(0).max(255).optional(),
    congestionControl: z.string().min(1).max(32).optional(),
    provider: z.string().min(1).max(64).optional(),
  })
  .strict();

export const hostSchema = z
  .object({
    /** For messages. */
    name: z.string().min(1),
    /** IPv4 or IPv6 address at which the workers of this host are reached by the others. */
    address: z.string().refine((text) => isIP(text) !== 0, 'must be an IPv4 or IPv6 address'),
    /**
     * Command and arguments in front of a worker's own, which start it on this host: `['ip', 'netns', 'exec', 'host1']`. It must
     * keep inherited descriptors, through which coordinator and worker speak. Default: the worker is started here.
     */
    launch: z.array(z.string().min(1)).min(1).optional(),
    /** Ranks of the workers that run on this host. */
    attention: z.array(rank).default([]),
    expert: z.array(rank).default([]),
  })
  .strict();

export type Network = z.output<typeof networkSchema>;
export type Host = z.output<typeof hostSchema>;

/** The host of a worker; undefined when there are no hosts: every worker then runs here. */
export function hostOf(hosts: readonly Host[], role: WorkerRole, rank: number): Host | undefined {
  return hosts.find((host) => host[role].includes(rank));
}

interface Pools {
  readonly attentionWorkers: number;
  readonly expertWorkers: number;
  readonly colocated: boolean;
}

/** @throws ConfigError 'ERR_CONFIG_FIELD' unless every worker is on exactly one host, and no host has others. */
export function checkHosts(hosts: readonly Host[], pools: Pools, transport: string): void {
  if (hosts.length === 0) return;
  checkRanks(hosts, 'attention', pools.attentionWorkers);
  checkRanks(hosts, 'expert', pools.colocated ? 0 : pools.expertWorkers);
  const twin = hosts.find(
    ({ name }, index) => hosts.findIndex((host) => host.name === name) < index,
  );
  if (twin !== undefined) throw wrong(`two hosts are named ${twin.name}`);
  if (hosts.length > 1 && !pools.colocated && transport === 'shm') {
    throw wrong('shm connects workers of one machine only; choose the transport tcp or fabric');
  }
}

function checkRanks(hosts: readonly Host[], role: WorkerRole, count: number): void {
  const ranks = hosts.flatMap((host) => host[role]);
  for (let rank = 0; rank < count; rank++) {
    const times = ranks.filter((other) => other === rank).length;
    if (times !== 1)
      throw wrong(`${role} rank ${String(rank)} is on ${String(times)} hosts instead of one`);
  }
  const unknown = ranks.find((rank) => rank >= count);
  if (unknown !== undefined) {
    throw wrong(
      `there is no ${role} rank ${String(unknown)}: there are ${String(count)} ${role} workers`,
    );
  }
}

function wrong(what: string): ConfigError {
  return new ConfigError('ERR_CONFIG_FIELD', {
    message: `Option hosts: ${what}.`,
    details: { path: 'hosts' },
  });
}
