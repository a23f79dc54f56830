import type { Clock } from '@megascale/core';
import type { LlmOptions } from '@megascale/engine';

/** What `megascale bench` needs from @megascale/bench, which is installed apart. */
export interface BenchSuite {
  /** @throws MegascaleError */
  decode(request: BenchRequest): Promise<BenchReport>;
  prefill(request: BenchRequest): Promise<BenchReport>;
  load(request: LoadBenchRequest): Promise<BenchReport>;
  m2nSearch(request: M2nSearchRequest): Promise<BenchReport>;
}

export interface BenchTarget {
  readonly directory: string;
  readonly options: LlmOptions;
}

export interface LoadBenchRequest extends BenchTarget {
  readonly runs: number;
  readonly clock: Clock;
  /** Ends the benchmark early. */
  readonly signal?: AbortSignal;
  /** What is being done, for people. */
  readonly onProgress?: (text: string) => void;
}

export interface BenchRequest extends LoadBenchRequest {
  /** Sequences that run together. */
  readonly batch: number;
  readonly promptTokens: number;
  /** Of each sequence; prefill has one. */
  readonly outputTokens: number;
  /** Sets the prompts. */
  readonly seed: number;
  /** Bytes that the read bandwidth is measured over. */
  readonly boundBytes: number;
  /** Adds the table of ops. */
  readonly profile: boolean;
  /** Runs a second deployment in turns with the first and reports the ratio. */
  readonly against?: BenchTarget;
}

/** A search for traffic that a transport carries more slowly than it should. */
export interface M2nSearchRequest {
  /** Names, at least one. */
  readonly transports: readonly string[];
  readonly minutes: number;
  /** Over the prediction. */
  readonly factor: number;
  /** Sets which points are looked at, as far as times allow. */
  readonly seed: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  readonly onProgress?: (text: string) => void;
}

export interface BenchReport {
  /** For programs: plain data. */
  readonly document: object;
  /** For people: lines, each with its end. */
  readonly text: string;
  /** Of the last run: a Chrome trace. Empty for `load`. */
  readonly trace?: object;
}
