/** Start file of a thread that loads a policy, and may be ended when that takes for ever. */
import { parentPort, workerData } from 'node:worker_threads';
import { serializeError } from '@megascale/core';
import { loadPolicy } from './plugins.js';

const { policy } = workerData as { readonly policy: string };
loadPolicy(policy).then(
  () => parentPort?.postMessage(undefined),
  (error: unknown) => parentPort?.postMessage(serializeError(error)),
);
