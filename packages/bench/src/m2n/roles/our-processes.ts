import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BenchError } from '../../bench-error.js';
import type { MeasureOptions } from '../measure-options.js';
import type { RunSamples } from '../m2n-figures.js';
import type { RoleRequest } from './role.js';
import type { Traffic, TrafficPlan } from '../traffic.js';

const roleFile = fileURLToPath(new URL('./m2n-role-main.js', import.meta.url));
/** Long enough that a wait never sleeps while a message is under way. */
const spinUsDefault = 1_000_000;

interface RoleMessage {
  readonly address?: string;
  readonly heapBytesPerMessage?: number;
  readonly error?: string;
}

/**
 * One run of all ranks, each a process of its own. @throws BenchError with the reason of the first
 * that failed.
 */
export async function runOurs(
  traffic: Traffic,
  plan: TrafficPlan,
  { signal }: MeasureOptions,
): Promise<RunSamples> {
  const folder = mkdtempSync(join(tmpdir(), 'megascale-m2n-'));
  const requests = roleRequests(traffic, plan, folder);
  const children = requests.map(() =>
    fork(roleFile, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }),
  );
  const end = (): void => {
    for (const child of children) child.kill('SIGKILL');
  };
  signal?.addEventListener('abort', end);
  try {
    const addresses = gatherAddresses(children, requests);
    const results = await Promise.all(
      children.map((child, index) => finished(child, requests[index], addresses(index))),
    );
    const samples = requests.map(({ file }) => floatsOf(file));
    return {
      senders: samples.slice(0, plan.senders),
      receivers: samples.slice(plan.senders),
      heapBytesPerMessage: Math.max(...results),
    };
  } finally {
    signal?.removeEventListener('abort', end);
    end();
    rmSync(folder, { recursive: true, force: true });
  }
}

function roleRequests(traffic: Traffic, plan: TrafficPlan, folder: string): RoleRequest[] {
  const { transport, spinUs = spinUsDefault, emulatedLink } = traffic;
  const pins = canPin();
  return Array.from({ length: plan.senders + plan.receivers }, (_, index) => {
    const isSender = index < plan.senders;
    return {
      role: isSender ? 'sender' : 'receiver',
      rank: isSender ? index : index - plan.senders,
      transport,
      plan,
      spinUs,
      ...(emulatedLink === undefined ? {} : { emulatedLink }),
      file: join(folder, String(index)),
      core: pins ? coreOf(index) : -1,
    };
  });
}

/** Ranks go round the cores. */
export function coreOf(index: number): number {
  return index % availableParallelism();
}

function canPin(): boolean {
  return availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;
}

/** Hands everyone all addresses once the last has come. */
function gatherAddresses(children: readonly ChildProcess[], requests: readonly RoleRequest[]) {
  const known = new Map<number, string>();
  return (index: number) => (address: string) => {
    known.set(index, address);
    if (known.size < children.length) return;
    const of = (role: string): (string | undefined)[] =>
      requests.flatMap((request, at) => (request.role === role ? [known.get(at)] : []));
    const all = { attention: of('sender'), expert: of('receiver') };
    for (const child of children) child.send(all);
  };
}

function finished(
  child: ChildProcess,
  request: RoleRequest | undefined,
  onAddress: (address: string) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const who = `${request?.role ?? 'process'} ${request?.rank ?? 0}`;
    const fail = (why: string): void => {
      reject(new BenchError(`The ${who} over ${request?.transport ?? ''} failed: ${why}`, { who }));
    };
    child.on('message', ({ address, heapBytesPerMessage, error }: RoleMessage) => {
      if (address !== undefined) onAddress(address);
      else if (error !== undefined) fail(error);
      else if (heapBytesPerMessage !== undefined) resolve(heapBytesPerMessage);
    });
    child.once('error', (error) => {
      fail(error.message);
    });
    child.once('exit', (code, signal) => {
      const finish = (): void => {
        fail(`it ended with ${signal ?? String(code)}.`);
      };
      // Its last words may still be in the channel.
      if (child.connected) child.once('disconnect', finish);
      else finish();
    });
    if (request !== undefined) child.send(request);
  });
}

/** @throws BenchError when the file is no array of times. */
export function floatsOf(file: string): Float64Array {
  const { buffer, byteOffset, byteLength } = Uint8Array.from(readFileSync(file));
  if (byteLength % 8 !== 0) throw new BenchError(`${file} holds no times.`);
  return new Float64Array(buffer, byteOffset, byteLength / 8);
}
