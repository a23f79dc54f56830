import { writeFileSync } from 'node:fs';
import { ConfigError } from '@megascale/core';
import type { BenchReport, BenchRequest, BenchSuite } from '../bench-suite.js';
import type { CliWorld } from './cli-world.js';
import { ShutdownSignals } from './shutdown-signals.js';
import { UsageError } from './usage-error.js';

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
    const suite = await loadSuite(world);
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

async function loadSuite(world: CliWorld) {
  try {
    return await world.loadBench();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') throw cause;
    throw new ConfigError('ERR_CONFIG_FIELD', {
      message:
        'Benchmarks are in a package of their own, which is not installed. Run: npm install @megascale/bench',
      details: { package: '@megascale/bench' },
      cause,
    });
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
