import { writeFileSync } from 'node:fs';
import type { BenchReport, BenchRequest, BenchSuite } from '@megascale/bench';
import type { CliWorld } from '../../world.js';
import { ShutdownSignals } from '../../output/shutdown-signals.js';
import { UsageError } from '../../output/usage-error.js';

/** What every benchmark is given of the command's world. */
export type BenchCommon = Pick<BenchRequest, 'clock' | 'signal' | 'onProgress'>;

/** Loads the suite, prints what it reports and ends it on signals. */
export async function runBench(
  world: CliWorld,
  flags: { readonly json?: boolean; readonly trace?: string },
  measure: (suite: BenchSuite, common: BenchCommon) => Promise<BenchReport>,
): Promise<void> {
  const signals = new ShutdownSignals(world);
  try {
    const suite = await world.loadBench();
    const report = await measure(suite, {
      clock: world.clock,
      signal: signals.requested,
      onProgress: (text) => {
        if (world.stderr.isTTY === true) world.stderr.write(`${text} …\n`);
      },
    });
    if (flags.trace !== undefined) writeTrace(flags.trace, report);
    world.stdout.write(flags.json === true ? `${JSON.stringify(report.document)}\n` : report.text);
  } catch (error) {
    signals.throwIfRequested();
    throw error;
  } finally {
    signals.dispose();
  }
}

function writeTrace(file: string, { trace }: BenchReport): void {
  try {
    writeFileSync(file, JSON.stringify(trace));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`The trace cannot be written: ${reason}. Name a file that can.`);
  }
}
