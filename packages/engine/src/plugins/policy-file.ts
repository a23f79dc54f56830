import { ConfigError, type SchedulerPolicy } from '@megascale/core';
import { pluginFilePattern } from './plugin-specifier.js';

export function isPolicyFile(specifier: string): boolean {
  return specifier.startsWith('file:') && pluginFilePattern.test(specifier);
}

/**
 * Imports a policy from a file: its default export, or its `policy`. TypeScript needs no build
 * (jiti strips the types).
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when the file is missing, does not load or exports no
 * policy.
 */
export async function importPolicyFile(specifier: string): Promise<Record<string, unknown>> {
  try {
    if (!/ts$/.test(specifier)) return (await import(specifier)) as Record<string, unknown>;
    const { createJiti } = await import('jiti');
    return await createJiti(import.meta.url).import<Record<string, unknown>>(specifier);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message: `The policy ${specifier} cannot be loaded: ${reason}.`,
      details: { path: 'policy', specifier },
      cause,
    });
  }
}

/** @throws ConfigError 'ERR_CONFIG_FIELD' naming what a policy must have and this one has not. */
export function expectPolicy(candidate: unknown, specifier: string): SchedulerPolicy {
  const policy = candidate as Partial<SchedulerPolicy> | null | undefined;
  const lacks =
    typeof policy !== 'object' || policy === null
      ? 'an object'
      : policy.specVersion !== 1
        ? 'specVersion: 1'
        : typeof policy.name !== 'string' || policy.name === ''
          ? 'a name'
          : typeof policy.plan !== 'function'
            ? 'a function plan(view)'
            : undefined;
  if (lacks === undefined) return policy as SchedulerPolicy;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message:
      `${specifier} exports no scheduler policy: expected ${lacks}. ` +
      'Export it as default, as `policy`, or in `plugin.policies`.',
    details: { path: 'policy', specifier, expected: lacks },
  });
}
