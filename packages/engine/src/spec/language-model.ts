import type { EmulatedLink, OpRecord, SamplingOptions, StageProfile } from '@megascale/core';

import type { ExpertBalanceStats } from '../placement/expert-balance.js';
import type { RequestAccount } from '../recorder/request-account.js';
import type { WorkerRecording } from '../recorder/worker-recording.js';

/** What a program (and the HTTP server) sees of a running model. `LLM` is the implementation. */
export interface LanguageModel {
  readonly info: ModelInfo;
  /** Text → token ids, with the special tokens the model expects in front. */
  encode(text: string): number[];
  detokenize(tokenIds: readonly number[]): string;
  /**
   * Messages → prompt token ids, by the model's chat template, which also says where the assistant's answer begins.
   *
   * @throws RequestError 'ERR_REQUEST_INVALID' when there is no template or it refuses the messages.
   */
  encodeChat(messages: readonly ChatMessage[]): number[];
  /**
   * Generates from a text or from token ids. The iteration ends with a piece that has a `finishReason`; it throws RequestError ('ERR_CONTEXT_LENGTH',
   * 'ERR_REQUEST_INVALID', 'ERR_QUEUE_FULL', 'ERR_UNAVAILABLE', 'ERR_ABORTED') or TransportError when a worker is lost. Leaving the
   * loop early, or aborting `signal`, frees the sequence's pages.
   */
  generate(prompt: string | readonly number[], options?: GenerateOptions): AsyncIterable<Piece>;
  /** What is going on now: for /health, /metrics and tests. */
  stats(): Promise<EngineStats>;
  /** Where the time of a finished request went, one account per answer; empty where nothing is known of it. */
  accounts(requestId: string): readonly RequestAccount[];
  /** What every worker did last, for a trace or for numbers (`flightTrace`, `pipelineNumbers`). */
  recordings(): Promise<WorkerRecording[]>;
  /** Refuses new requests, lets running ones finish within the limit, then stops every worker. Idempotent. */
  close(options?: { readonly drainMs?: number }): Promise<void>;
}

export interface ModelInfo {
  /** The directory's name unless the options name it. */
  readonly name: string;
  readonly family: string;
  readonly vocabSize: number;
  /** Prompt and output tokens together. */
  readonly maxModelLen: number;
  readonly hasChatTemplate: boolean;
  readonly topology: Topology;
  readonly backend: string;
  readonly isa: string;
  /** From generation_config.json: what applies where a request is silent. */
  readonly defaultSampling: SamplingOptions;
  readonly eosTokenIds: readonly number[];
}

export type Topology =
  | { readonly type: 'colocated'; readonly attentionWorkers: number; readonly microBatches: number }
  | {
      readonly type: 'disaggregated';
      readonly attentionWorkers: number; // M
      readonly expertWorkers: number; // N
      readonly microBatches: number; // m
      readonly transport: string;
      readonly emulatedLink?: EmulatedLink;
    };

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

export interface GenerateOptions extends SamplingOptions {
  /** Output tokens at most. Default: what the context leaves. */
  readonly maxTokens?: number;
  /** Output ends before the first of these texts; they are not part of the output. */
  readonly stop?: readonly string[];
  /** Goes on past end-of-sequence tokens. Default false. */
  readonly ignoreEos?: boolean;
  /** Log-probabilities of each output token and of so many alternatives (0–20). Absent: none are computed. */
  readonly logprobs?: number;
  /** The id that `accounts` is asked by. Default: one that is not told. */
  readonly requestId?: string;
  /** Higher is served sooner. Whole, −1,000 to 1,000; default 0. What a level is worth is the policy's matter. */
  readonly priority?: number;
  /** Whose request it is: tenants take turns. At most 256 characters. */
  readonly tenant?: string;
  /** Wanted from arrival to the first token, in milliseconds, for policies that look at it. */
  readonly ttftTargetMs?: number;
  /** Wanted from one token to the next, in milliseconds. */
  readonly tpotTargetMs?: number;
  readonly signal?: AbortSignal;
}

/** A part of the answer: usually one token, sometimes none (half a character, or a possible stop text, is held back) or several. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly OutputToken[];
  /** On the last piece only. 'stop': end-of-sequence token or stop text. 'length': maxTokens or the context's end. */
  readonly finishReason?: 'stop' | 'length';
  /** On the last piece only. */
  readonly usage?: Usage;
}

export interface OutputToken {
  readonly id: number;
  /** What this token alone adds; may be half a character, shown as U+FFFD. */
  readonly text: string;
  /** Natural logarithm; present when logprobs were asked for. Of the model's distribution, before temperature and cuts. */
  readonly logprob?: number;
  readonly topLogprobs?: readonly {
    readonly id: number;
    readonly text: string;
    readonly logprob: number;
  }[];
}

export interface Usage {
  readonly promptTokens: number;
  /** Of those, so many were in KV pages that other requests had filled. */
  readonly cachedPromptTokens: number;
  readonly outputTokens: number;
}

export interface EngineStats {
  readonly state: 'ready' | 'draining' | 'failed' | 'closed';
  /** Why, when the state is 'failed'. */
  readonly reason?: string;
  readonly requestsWaiting: number;
  readonly requestsRunning: number;
  readonly kvPagesTotal: number;
  readonly kvPagesFree: number;
  /** Pages whose contents a new request may take over. */
  readonly kvPagesCached: number;
  readonly promptTokensTotal: number;
  /** Of those, found in pages that other requests had filled. */
  readonly cachedPromptTokensTotal: number;
  /** Tokens that steps computed: of prompts, of output, and again after a preemption. */
  readonly computedTokensTotal: number;
  /** Steps that the scheduler policy failed to plan, and fcfs planned. */
  readonly policyErrorsTotal: number;
  readonly outputTokensTotal: number;
  readonly preemptionsTotal: number;
  /** m: micro-batches of a step at most, the most of any attention worker; 0 before the first step. */
  readonly microBatches: number;
  readonly stepsTotal: number;
  /** Of expert balance, where expert loads are recorded or balanced. */
  readonly experts?: ExpertBalanceStats;
  /** Process ids of the workers, for people and tests. */
  readonly workers: readonly {
    readonly role: 'attention' | 'expert';
    readonly rank: number;
    readonly pid: number;
  }[];
  /** Where step time went, summed over attention workers. */
  readonly stepTime: StepTime;
}

/** Microseconds of attention workers, summed since the start; the parts add up to `totalUs`. */
export interface StepTime {
  readonly totalUs: number;
  /** Inside the backend's calls; colocated experts included. */
  readonly computeUs: number;
  /** Waiting for the experts' answers. */
  readonly waitUs: number;
  /** Counting rows and telling the experts. */
  readonly dispatchUs: number;
  /** Choosing tokens. */
  readonly samplingUs: number;
  /** Planning, batching, the loop itself. */
  readonly drivingUs: number;
  /** Half-layers run: layers × micro-batches, summed over steps. */
  readonly halfLayers: number;
}

/** What one worker's stages did: for benchmarks. Two of them in colocated mode, otherwise one. */
export interface WorkerProfile {
  readonly role: 'attention' | 'expert';
  readonly rank: number;
  readonly pid: number;
  readonly stages: readonly {
    readonly stage: 'attention' | 'expert';
    readonly totals: StageProfile;
    /** Of the ops since recording was asked for. */
    readonly records: readonly OpRecord[];
    /** Ops that found no room among the records. */
    readonly recordsLost: number;
  }[];
  /** Of an attention worker, as long as ops are recorded. */
  readonly steps: readonly StepRecord[];
}

/** One step of an attention worker. */
export interface StepRecord {
  /** As `Clock.nowUs`. The end is when its tokens are known. */
  readonly startUs: number;
  readonly endUs: number;
  /** Sequences that got a token. */
  readonly outputTokens: number;
  /** Tokens computed: equal to `outputTokens` when every sequence decodes. */
  readonly tokens: number;
  /** As in `StepTime`, of this step. */
  readonly computeUs: number;
  readonly waitUs: number;
  readonly dispatchUs: number;
  readonly samplingUs: number;
}
