import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { ConfigError } from '@megascale/core';
import { z } from 'zod';
import type { WorkerRole } from '../protocol/worker-role.js';
import { option } from './option.js';

const rank = z.int().nonnegative();

/** See `NetworkOptions` of @megascale/core for these fields. */
export const networkSchema = z.strictObject({
  preSharedKey: option(
    z
      .string()
      .refine((key) => Buffer.byteLength(key) >= 16, 'must have at least 16 bytes')
      .optional(),
    { help: 'what workers prove to each other', secret: true, defaultText: 'none' },
  ),
  preSharedKeyFile: option(z.string().min(1).optional(), {
    help: 'file that holds the key',
    metavar: 'file',
    defaultText: 'none',
    isPath: () => true,
  }),
  busyPollUs: option(z.int().nonnegative().max(1_000_000).optional(), {
    help: "how long the kernel polls the device for a socket's next packet",
    unit: 'µs',
    defaultText: '0',
  }),
  trafficClass: option(z.int().min(0).max(255).optional(), {
    help: 'traffic class of data in IP headers (DSCP × 4)',
    defaultText: "the system's",
  }),
  congestionControl: option(z.string().min(1).max(32).optional(), {
    help: "TCP's congestion control, or what the fabric's provider calls it",
    defaultText: "the system's",
  }),
  provider: option(z.string().min(1).max(64).optional(), {
    help: 'libfabric provider',
    defaultText: 'the best present',
  }),
});

export const hostSchema = z.strictObject({
  name: option(z.string().min(1), { help: 'name of the host in messages' }),
  address: option(
    z.string().refine((text) => isIP(text) !== 0, 'must be an IPv4 or IPv6 address'),
    { help: 'IPv4 or IPv6 address at which the other workers reach the workers of this host' },
  ),
  launch: option(z.array(z.string().min(1)).min(1).optional(), {
    help: 'command and arguments that start a worker on this host, put in front of its own; they keep inherited descriptors',
    defaultText: 'the worker starts here',
  }),
  attention: option(z.array(rank).default([]), { help: 'ranks of the attention workers here' }),
  expert: option(z.array(rank).default([]), { help: 'ranks of the expert workers here' }),
});

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

/**
 * @throws ConfigError 'ERR_CONFIG_FIELD' unless every worker is on exactly one host, and no host
 * has others.
 */
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

/**
 * The network with the key that its file holds.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when the file cannot be read or holds no key.
 */
export function resolveNetwork({ preSharedKeyFile: file, ...network }: Network): Network {
  if (file === undefined || network.preSharedKey !== undefined) return network;
  try {
    const preSharedKey = readFileSync(file, 'utf8').trimEnd();
    return networkSchema.parse({ ...network, preSharedKey });
  } catch (cause) {
    const why = cause instanceof z.ZodError ? cause.issues[0]?.message : (cause as Error).message;
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message: `Option network.preSharedKeyFile: ${file}: ${why ?? 'no key'}.`,
      details: { path: 'network.preSharedKeyFile', file },
      cause,
    });
  }
}
