/**
 * Start file of a worker's data thread: runs the synchronous step loop of its role and reports how
 * it ended.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { serializeError } from '@megascale/core';
import { runAttentionWorker } from '../attention/attention-worker.js';
import { runExpertWorker } from '../expert/expert-worker.js';
import type { WorkerStart } from '../protocol/messages.js';
import { ThreadControl } from './thread-control.js';
import { ThreadInbox } from './thread-inbox.js';

const { start, control: memory } = workerData as {
  readonly start: WorkerStart;
  readonly control: SharedArrayBuffer;
};
if (parentPort === null) throw new Error('The data thread must be started by a worker process.');

const control = new ThreadControl(memory);
const inbox = new ThreadInbox(parentPort);
const run = start.role === 'attention' ? runAttentionWorker : runExpertWorker;
run({ start, control, inbox })
  .catch((error: unknown) => {
    inbox.send({ type: 'worker-failed', error: serializeError(error) });
  })
  .finally(() => {
    inbox.close();
  });
