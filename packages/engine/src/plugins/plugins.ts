import {
  BackendError,
  ConfigError,
  type BackendFactory,
  type Plugin,
  type SchedulerPolicy,
  type TransportFactory,
} from '@megascale/core';

import { pluginSpecifier } from './plugin-specifier.js';
import { expectPolicy, importPolicyFile, isPolicyFile } from './policy-file.js';

/**
 * Which package brings which implementation. Workers import them by name, in their own process, so
 * this package depends on none of them. Any other name is taken as the name (or file URL) of a
 * package that exports `plugin`.
 */
const knownBackends: Readonly<Record<string, string>> = {
  cpu: '@megascale/kernels-cpu',
  reference: '@megascale/core',
  null: '@megascale/core',
};
const knownTransports: Readonly<Record<string, string>> = {
  shm: '@megascale/m2n',
  tcp: '@megascale/m2n',
  fabric: '@megascale/m2n',
};
const knownPolicies: Readonly<Record<string, string>> = {
  fcfs: '@megascale/scheduler',
  'prefill-first': '@megascale/scheduler',
  'slo-aware': '@megascale/scheduler',
};

export const backendNames: readonly string[] = Object.keys(knownBackends);
export const transportNames: readonly string[] = Object.keys(knownTransports);

/**
 * @throws BackendError 'ERR_BACKEND_UNAVAILABLE' when the package or the backend in it is missing.
 */
export async function loadBackend(name: string): Promise<BackendFactory> {
  const specifier = knownBackends[name] ?? name;
  const { backends = [] } = await importPlugin('backend', name, knownBackends);
  const factory = knownBackends[name] === undefined ? backends[0] : backends.find(named(name));
  if (factory !== undefined) return factory;
  throw new BackendError('ERR_BACKEND_UNAVAILABLE', {
    message:
      `Package ${specifier} brings no backend "${name}". ` +
      `Known backends: ${backendNames.join(', ')}.`,
    details: { name, specifier },
  });
}

/** @throws ConfigError 'ERR_CONFIG_FIELD' when the package or the transport in it is missing. */
export async function loadTransport(name: string): Promise<TransportFactory> {
  const { transports = [] } = await importPlugin('transport', name, knownTransports);
  const factory =
    knownTransports[name] === undefined ? transports[0] : transports.find(named(name));
  if (factory === undefined) throw unknown('transport', name, transportNames);
  return factory;
}

/** Whether the policy is one of ours: it needs no limit on its time. */
export function isKnownPolicy(name: string): boolean {
  return knownPolicies[name] !== undefined;
}

/**
 * @throws ConfigError 'ERR_CONFIG_FIELD' when the package, the file or the policy in it is missing,
 * or is no policy.
 */
export async function loadPolicy(name: string): Promise<SchedulerPolicy> {
  const specifier = pluginSpecifier(name);
  if (isPolicyFile(specifier)) {
    const module = await importPolicyFile(specifier);
    const plugin = module['plugin'] as Plugin | undefined;
    return expectPolicy(plugin?.policies?.[0] ?? module['policy'] ?? module['default'], name);
  }
  const { policies = [] } = await importPlugin('policy', name, knownPolicies);
  const policy = knownPolicies[name] === undefined ? policies[0] : policies.find(named(name));
  if (policy === undefined) throw unknown('policy', name, Object.keys(knownPolicies));
  return expectPolicy(policy, name);
}

async function importPlugin(
  kind: string,
  name: string,
  known: Readonly<Record<string, string>>,
): Promise<Plugin> {
  const specifier = known[name] ?? name;
  try {
    const module = (await import(specifier)) as { readonly plugin?: Plugin };
    return module.plugin ?? {};
  } catch (cause) {
    if (!isNotFound(cause)) throw cause;
    if (known[name] === undefined) throw unknown(kind, name, Object.keys(known), cause);
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message:
        `The ${kind} "${name}" needs the package ${specifier}, which is not installed. ` +
        `Run: npm install ${specifier}`,
      details: { kind, name, specifier },
      cause,
    });
  }
}

function isNotFound(error: unknown): boolean {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
}

function named(name: string): (candidate: { readonly name: string }) => boolean {
  return (candidate) => candidate.name === name;
}

function unknown(
  kind: string,
  name: string,
  known: readonly string[],
  cause?: unknown,
): ConfigError {
  return new ConfigError('ERR_CONFIG_FIELD', {
    message:
      `Unknown ${kind} "${name}". Known: ${known.join(', ')}, ` +
      'or the name of an installed package that exports `plugin`.',
    details: { kind, name, known },
    cause,
  });
}
