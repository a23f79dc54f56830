import type { Clock, EmulatedLink } from '@megascale/core';
import type { LlmOptions } from '@megascale/engine';

/** What `megascale bench` calls. */
export interface BenchSuite {
  /** @throws MegascaleError */
  decode(request: BenchRequest): Promise<BenchReport>;
  prefill(request: BenchRequest): Promise<BenchReport>;
  load(request: LoadBenchRequest): Promise<BenchReport>;
  m2n(request: M2nBenchRequest): Promise<BenchReport>;
  m2nSearch(request: M2nSearchRequest): Promise<BenchReport>;
  ablation(request: AblationRequest): Promise<BenchReport>;
  pipeline(request: PipelineRequest): Promise<BenchReport>;
  profile(request: ProfileRequest): Promise<BenchReport>;
  predict(request: PredictRequest): Promise<BenchReport>;
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

/** The same model in many deployments; `options` are what they have in common. */
export interface AblationRequest extends Omit<LoadBenchRequest, 'directory'> {
  /** Default: a random model that is made for it. */
  readonly directory?: string;
  readonly batch: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly seed: number;
  /** m from 1 to this. */
  readonly microBatchesMax: number;
  /** The first is the one that all but the last rows use. */
  readonly transports: readonly string[];
}

/** Traffic of one transport, beside what else carries bytes between processes. */
export interface M2nBenchRequest {
  readonly transport: string;
  readonly senders: number;
  readonly receivers: number;
  /** Of each sender to each receiver; empty: a sweep from 2 KiB to 8 MiB. */
  readonly bytes: readonly number[];
  /** One hot expert. */
  readonly skew: boolean;
  /** Also with answers as large as the rows. */
  readonly bothDirections: boolean;
  readonly rounds: number;
  /** All message counts times this. */
  readonly effort: number;
  readonly emulatedLink?: EmulatedLink;
  /** Names; absent: all that balanced traffic has. */
  readonly baselines?: readonly string[];
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  readonly onProgress?: (text: string) => void;
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

/** Steps of the ping-pong pipeline beside the law's. */
export interface PipelineRequest {
  /** Absent: a model made for it. */
  readonly directory?: string;
  readonly options: LlmOptions;
  /** T_a = T_e of the null backend; absent: the options' backend, whose times are measured. */
  readonly stageUs?: number;
  /** Of the made model. */
  readonly layers: number;
  /** Sequences in each micro-batch of each attention worker. */
  readonly batch: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** T_c / T_f of the links. */
  readonly ratios: readonly number[];
  readonly microBatchesMax: number;
  /** Instead: two attention workers with unequal contexts, with each gather policy. */
  readonly skew: boolean;
  readonly seed: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  readonly onProgress?: (text: string) => void;
}

/** What this machine takes for a model, measured: the document is the profile. */
export interface ProfileRequest extends LoadBenchRequest {
  /** Of each worker; absent: the cores, divided by a pool's workers. */
  readonly threads?: number;
  readonly batchMax: number;
  /** Names of transports whose messages are timed. */
  readonly transports: readonly string[];
  /** Written into the profile. */
  readonly takenAt: string;
  readonly version: string;
}

/** Deployments whose speed is predicted from a fresh profile, then measured. */
export interface PredictRequest extends Omit<ProfileRequest, 'directory' | 'transports'> {
  /** None: two that are made for it. */
  readonly directories: readonly string[];
  /** Of each deployment and batch; `runs` are the profile's. */
  readonly rounds: number;
  /** Moves the profile by what some of the runs measured, and predicts the others again. */
  readonly recalibrate: boolean;
}

export interface BenchReport {
  /** For programs: plain data. */
  readonly document: object;
  /** For people: lines, each with its end. */
  readonly text: string;
  /** Of the last run: a Chrome trace. Empty for `load`. */
  readonly trace?: object;
  /** Of a sweep: an SVG document. */
  readonly chart?: string;
}
