/**
 * Start file of a worker process: its main thread. It owns the data thread and passes messages
 * between it and the coordinator. It computes nothing, so that it always responds. The process ends
 * when its coordinator does, however that ends.
 */
import { Worker } from 'node:worker_threads';
import { serializeError, systemClock } from '@megascale/core';
import {
  coordinatorMessage,
  type CoordinatorMessage,
  type WorkerMessage,
} from '../protocol/messages.js';
import { ThreadControl } from './thread-control.js';

/** Time that the data thread has to end by itself before the process is killed. */
const stopGraceMs = 2_000;

const control = new ThreadControl();
let dataThread: Worker | undefined;
let ending = false;
let pendingSends = 0;
let allSent: (() => void) | undefined;

// Ctrl-C, and a service manager's SIGTERM, reach the whole process group. The coordinator decides
// what they mean, and drains first. When the coordinator is gone its channel closes, and this
// process ends.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('disconnect', () => {
  end(0);
});
process.on('message', (raw) => {
  const parsed = coordinatorMessage.safeParse(raw);
  if (parsed.success) receive(parsed.data);
  else
    fail(
      new Error(
        `The coordinator sent a message this version does not know: ${parsed.error.message}`,
      ),
    );
});

function receive(message: CoordinatorMessage): void {
  switch (message.type) {
    case 'worker-start':
      dataThread = new Worker(new URL('./data-thread-main.js', import.meta.url), {
        workerData: { start: message, control: control.memory },
        name: `${message.role}-${String(message.rank)}`,
      });
      dataThread.on('message', (reply: WorkerMessage) => {
        send(reply);
        if (reply.type === 'worker-failed') end(1);
      });
      dataThread.on('error', fail);
      dataThread.on('exit', () => {
        end(0);
      });
      return;
    case 'clock-requested':
      send({ type: 'clock-read', sentUs: message.sentUs, workerUs: systemClock.nowUs() });
      return;
    case 'peer-lost':
      control.reportLost(message.role, message.rank);
      return;
    case 'worker-stop':
      control.stop();
      dataThread?.postMessage(message);
      return;
    default:
      dataThread?.postMessage(message);
  }
}

function send(message: WorkerMessage): void {
  if (!process.connected) return;
  pendingSends += 1;
  process.send?.(message, undefined, undefined, () => {
    pendingSends -= 1;
    if (pendingSends === 0) allSent?.();
  });
}

function fail(error: unknown): void {
  send({ type: 'worker-failed', error: serializeError(error) });
  end(1);
}

/**
 * Ends the data thread at its next wait, then the process. A thread inside a long native call is
 * not waited for.
 */
function end(code: number): void {
  if (ending) return;
  ending = true;
  control.stop();
  const force = setTimeout(() => process.kill(process.pid, 'SIGKILL'), stopGraceMs);
  const stopped = dataThread === undefined ? Promise.resolve(0) : dataThread.terminate();
  const sent = new Promise<void>((resolve) => {
    if (pendingSends === 0) resolve();
    else allSent = resolve;
  });
  void Promise.all([stopped, sent]).finally(() => {
    clearTimeout(force);
    process.exit(code);
  });
}
