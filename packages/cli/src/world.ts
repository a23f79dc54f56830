import type { Clock } from '@megascale/core';
import type { BenchSuite } from '@megascale/bench';
import type { LoadModel, probePlugins } from './compose.js';
import type { Environment } from './environment.js';

/** Everything a command touches outside itself; tests bring their own. */
export interface CliWorld {
  /** Results. With --json one document and nothing else. */
  readonly stdout: TextSink;
  /** Logs, progress and errors. */
  readonly stderr: TextSink;
  readonly signals: SignalSource;
  /** Ends the process at once. */
  exit(code: number): void;
  readonly clock: Clock;
  readEnvironment(): Environment;
  readonly loadModel: LoadModel;
  readonly probePlugins: typeof probePlugins;
  loadBench(): Promise<BenchSuite>;
}

export interface TextSink {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Who tells of 'SIGINT' and 'SIGTERM': the process. */
export interface SignalSource {
  on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  off(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
}
