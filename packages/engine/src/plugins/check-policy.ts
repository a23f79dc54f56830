import { Worker } from 'node:worker_threads';
import { ConfigError, deserializeError, type SerializedError } from '@megascale/core';

/** A module that loads other modules takes long the first time, on a busy machine longer. */
const loadLimitMs = 30_000;

/**
 * Loads a custom policy in a thread of its own, to see that it can be loaded. Only the end of the
 * thread ends a module that loops.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when it does not load, is no policy, or is not there after
 * 30 s.
 */
export async function checkPolicy(policy: string, limitMs = loadLimitMs): Promise<void> {
  const thread = new Worker(new URL('./policy-check-main.js', import.meta.url), {
    workerData: { policy },
  });
  let limit: NodeJS.Timeout | undefined;
  try {
    const error = await new Promise<SerializedError | undefined>((resolve, reject) => {
      thread.once('message', resolve);
      thread.once('error', reject);
      limit = setTimeout(() => {
        reject(
          new ConfigError('ERR_CONFIG_FIELD', {
            message:
              `The policy ${policy} cannot be loaded: its module did not come to an end within ` +
              `${String(limitMs / 1000)} s. Let it define the policy and do nothing else.`,
            details: { path: 'policy', policy, limitMs },
          }),
        );
      }, limitMs);
    });
    if (error !== undefined) throw deserializeError(error);
  } finally {
    clearTimeout(limit);
    await thread.terminate();
  }
}
