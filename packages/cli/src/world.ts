import type { Readable } from 'node:stream';
import type { Clock } from '@megascale/core';
import type { BenchSuite } from '@megascale/bench';
import type { LoadModel, probePlugins } from './compose.js';
import type { Environment } from './environment.js';

/** Everything a command touches outside itself; tests bring their own. */
export interface CliWorld {
  /** What the user types or pipes in; `chat` reads it. */
  readonly stdin: TextSource;
  /** Results. With --json a command writes one document here and nothing else. */
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

/** A stream of bytes; a terminal says so by `isTTY`. */
export type TextSource = Readable & { readonly isTTY?: boolean };

export interface TextSink {
  readonly isTTY?: boolean;
  /** Whether text written here may be coloured; see `showsColors`. Absent: no colours. */
  readonly hasColors?: boolean;
  /** Width of the terminal in characters; absent where there is none. */
  readonly columns?: number;
  write(text: string): unknown;
}

/** Reports the signals SIGINT and SIGTERM; in the program it is the process. */
export interface SignalSource {
  on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  off(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
}
