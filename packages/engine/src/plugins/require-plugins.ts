import { ConfigError } from '@megascale/core';
import type { EngineConfig } from '../config/engine-config.js';
import { checkPolicy } from './check-policy.js';
import { isKnownPolicy, loadBackend, loadPolicy, loadTransport } from './plugins.js';

/**
 * Loads the plugins of a deployment in this process, so that one that is missing or cannot run here
 * is found before any worker is started. `policyLoadMs` bounds the load of a custom policy.
 *
 * @throws BackendError 'ERR_BACKEND_UNAVAILABLE' for the backend, ConfigError 'ERR_CONFIG_FIELD'
 * for the policy or the transport.
 */
export async function requirePlugins(config: EngineConfig, policyLoadMs?: number): Promise<void> {
  await loadBackend(config.backend);
  if (isKnownPolicy(config.policy)) await loadPolicy(config.policy);
  else await checkPolicy(config.policy, policyLoadMs);
  if (config.colocated) return;
  const transport = await loadTransport(config.transport);
  const probe = await transport.probe();
  if (probe.available) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message:
      `Transport ${transport.name} cannot run here: ${probe.reason}. ` +
      'Choose another, or run colocated.',
    details: { path: 'transport', reason: probe.reason },
  });
}
