import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { BenchError } from '../../bench-error.js';
import type { Contender, Variant } from './contenders.js';
import type { M2nFigures, Percentiles } from '../m2n-figures.js';
import type { TrafficPlan } from '../traffic.js';

const limitMs = 60_000;

export interface ContenderRun {
  readonly contender: Contender;
  readonly variant: Variant;
  /** Of its program. */
  readonly path: string;
  readonly plan: TrafficPlan;
  readonly signal?: AbortSignal;
}

/** What native/harness.cc prints. */
interface Printed {
  readonly endToEndUs: Percentiles;
  readonly dispatchUs: Percentiles;
  readonly roundTripUs: Percentiles;
  readonly gigabytesPerSecond: number;
  readonly bothDirectionsGigabytesPerSecond: number;
}

/** One run of all its processes. @throws BenchError when one fails, or none ends in time. */
export async function runContender(run: ContenderRun): Promise<M2nFigures> {
  // Memory that programs share lies in files there: not on a disk, where there is a choice.
  const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const directory = mkdtempSync(join(parent, 'megascale-bench-'));
  // mpirun starts the processes without the harness's parent, which makes these otherwise.
  if (run.contender.launcher !== undefined) {
    for (const name of ['latency', 'one', 'both']) mkdirSync(join(directory, name));
  }
  try {
    return figuresFrom(await output(run, directory), run);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function output(run: ContenderRun, directory: string): Promise<string> {
  const [command = '', ...words] = commandOf(run, directory);
  // A group of its own, so that all processes it makes can be ended.
  const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const end = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  };
  run.signal?.addEventListener('abort', end);
  const timer = setTimeout(end, limitMs);
  try {
    const code = new Promise<number | string>((resolve) => {
      child.once('error', (error) => {
        resolve(error.message);
      });
      child.once('close', (status, signal) => {
        resolve(status ?? signal ?? 'nothing');
      });
    });
    const [out, said] = await Promise.all([text(child.stdout), text(child.stderr)]);
    const ended = await code;
    if (ended === 0) return out;
    throw failed(run, said.trim() === '' ? `it ended with ${ended}` : said.trim().slice(0, 600));
  } finally {
    clearTimeout(timer);
    run.signal?.removeEventListener('abort', end);
  }
}

function commandOf({ contender, variant, path, plan }: ContenderRun, directory: string): string[] {
  const [alone, oneDirection] = plan.phases;
  const program = [
    path,
    ...Object.entries({
      senders: plan.senders,
      receivers: plan.receivers,
      bytes: plan.sizes[0] ?? 0,
      slots: variant.isAlone === true ? 1 : plan.slots,
      iterations: alone.messages,
      messages: oneDirection.messages,
      variant: variant.variant,
      directory,
    }).flatMap(([name, value]) => [`--${name}`, String(value)]),
  ];
  if (contender.launcher === undefined) return program;
  return [
    'mpirun',
    '--allow-run-as-root',
    '--oversubscribe',
    ...['--bind-to', 'none', '--mca', 'plm', 'isolated'],
    ...['--mca', 'mpi_yield_when_idle', plan.yields ? '1' : '0'],
    ...(variant.flags ?? []),
    ...['-np', String(plan.senders + plan.receivers)],
    ...program,
  ];
}

function figuresFrom(printed: string, run: ContenderRun): M2nFigures {
  let value: Partial<Printed>;
  try {
    value = JSON.parse(printed) as Partial<Printed>;
  } catch {
    throw failed(run, `it printed no figures but '${printed.slice(0, 200)}'`);
  }
  const { endToEndUs, dispatchUs, roundTripUs, gigabytesPerSecond } = value;
  const { bothDirectionsGigabytesPerSecond: both } = value;
  if (!endToEndUs || !dispatchUs || !roundTripUs || gigabytesPerSecond === undefined) {
    throw failed(run, 'figures are missing in what it printed');
  }
  return {
    latencyUs: endToEndUs,
    dispatchUs,
    roundTripUs,
    gigabytesPerSecond,
    ...(both === undefined ? {} : { bothDirectionsGigabytesPerSecond: both }),
  };
}

function failed({ contender, variant }: ContenderRun, why: string): BenchError {
  const who = `${contender.name} (${variant.name})`;
  return new BenchError(`${who} failed: ${why}.`, { who });
}
