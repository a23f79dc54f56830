import { readFileSync } from 'node:fs';

/** Processor time in clock ticks since some moment. */
interface CpuTime {
  /** Of everything on this machine, and what its host gave to others. */
  readonly busy: number;
  readonly idle: number;
  /** Of this process and the ones it was told of. */
  readonly own: number;
}

/**
 * Tells how much of the machine's processors other programs took during a measurement, from /proc.
 * Where there is none, nothing is known of others, and every measurement counts as undisturbed.
 */
export class CpuWatch {
  readonly #pids: readonly number[];
  #before: CpuTime | undefined;

  constructor(pids: readonly number[]) {
    this.#pids = pids;
  }

  start(): void {
    this.#before = this.#read();
  }

  /** Since `start`: others' part of all processor time, 0 to 1. */
  foreignShare(): number {
    const [before, after] = [this.#before, this.#read()];
    if (before === undefined || after === undefined) return 0;
    const busy = after.busy - before.busy;
    const all = busy + after.idle - before.idle;
    if (all <= 0) return 0;
    return Math.max(0, busy - (after.own - before.own)) / all;
  }

  #read(): CpuTime | undefined {
    try {
      const { busy, idle } = machineTicks(readFileSync('/proc/stat', 'utf8'));
      const own = [process.pid, ...this.#pids].reduce(
        (sum, pid) => sum + processTicks(readFileSync(`/proc/${String(pid)}/stat`, 'utf8')),
        0,
      );
      return { busy, idle, own };
    } catch {
      return undefined;
    }
  }
}

/**
 * The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal. Exported for
 * the test.
 */
export function machineTicks(stat: string): { readonly busy: number; readonly idle: number } {
  const line = /^cpu +([\d ]+)/.exec(stat)?.[1] ?? '';
  const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, soft = 0, steal = 0] = line
    .split(' ')
    .map(Number);
  return { busy: user + nice + system + irq + soft + steal, idle: idle + waiting };
}

/** utime and stime of /proc/PID/stat, whose second field may hold spaces. Exported for the test. */
export function processTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}
