import type { EmulatedLink, OpRecord, SamplingOptions, StageProfile } from '@megascale/core';

import type { ExpertBalanceStats } from '../placement/expert-balance.js';
import type { RequestAccount } from '../recorder/request-account.js';
import type { WorkerRecording } from '../recorder/worker-recording.js';

/** What a program (and the HTTP server) sees of a running model. `LLM` is the implementation. */
export interface LanguageModel {
  readonly info: ModelInfo;
  /** Makes a text into token ids, with the special tokens in front that the model expects. */
  encode(text: string): number[];
  detokenize(tokenIds: readonly number[]): string;
  /**
   * Makes messages into the token ids of a prompt with the model's chat template, which also opens
   * the assistant's message.
   *
   * @throws RequestError 'ERR_REQUEST_INVALID' when there is no template or it refuses the
   * messages.
   */
  encodeChat(messages: readonly ChatMessage[]): number[];
  /**
   * Generates from a text or from token ids. The iteration ends with a piece that has a
   * `finishReason`. Leaving the loop early, or aborting `signal`, frees the KV pages of the
   * sequence.
   *
   * @throws RequestError 'ERR_CONTEXT_LENGTH', 'ERR_REQUEST_INVALID', 'ERR_QUEUE_FULL',
   * 'ERR_UNAVAILABLE' or 'ERR_ABORTED'; TransportError when a worker is lost.
   */
  generate(prompt: string | readonly number[], options?: GenerateOptions): AsyncIterable<Piece>;
  /** Returns the present state and counts: for /health, /metrics and tests. */
  stats(): Promise<EngineStats>;
  /**
   * Returns where the time of a finished request went, one account for each completion; empty for
   * an unknown id.
   */
  accounts(requestId: string): readonly RequestAccount[];
  /** Returns the newest events of every worker, for `flightTrace` and `pipelineNumbers`. */
  recordings(): Promise<WorkerRecording[]>;
  /**
   * Refuses new requests, lets running ones finish within the limit, then stops every worker.
   * Idempotent.
   */
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
  /**
   * How many alternatives of each output token get a log-probability, 0–20. Absent: none are
   * computed.
   */
  readonly logprobs?: number;
  /** The id under which `accounts` finds the request. Default: an id of the engine's own. */
  readonly requestId?: string;
  /**
   * A whole number, −1,000 to 1,000; default 0. Policies serve a higher one sooner, each by its own
   * rule.
   */
  readonly priority?: number;
  /** The owner of the request, at most 256 characters: policies may let tenants take turns. */
  readonly tenant?: string;
  /** Wanted from arrival to the first token, in milliseconds, for policies that look at it. */
  readonly ttftTargetMs?: number;
  /** Wanted from one token to the next, in milliseconds. */
  readonly tpotTargetMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * A part of the completion: usually one token; none or several where a character or a possible stop
 * text is held back.
 */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly OutputToken[];
  /**
   * On the last piece only. 'stop': end-of-sequence token or stop text. 'length': maxTokens or the
   * context's end.
   */
  readonly finishReason?: 'stop' | 'length';
  /** On the last piece only. */
  readonly usage?: Usage;
}

export interface OutputToken {
  readonly id: number;
  /** The text of this token alone. A part of a character is shown as U+FFFD. */
  readonly text: string;
  /**
   * Natural logarithm; present when logprobs were asked for. Of the model's distribution, before
   * temperature and cuts.
   */
  readonly logprob?: number;
  readonly topLogprobs?: readonly {
    readonly id: number;
    readonly text: string;
    readonly logprob: number;
  }[];
}

export interface Usage {
  readonly promptTokens: number;
  /** Prompt tokens that were found in KV pages of other requests: prefix cache hits. */
  readonly cachedPromptTokens: number;
  readonly outputTokens: number;
}

export interface EngineStats {
  readonly state: 'ready' | 'draining' | 'failed' | 'closed';
  /** Present when the state is 'failed': the error that led to it. */
  readonly reason?: string;
  readonly requestsWaiting: number;
  readonly requestsRunning: number;
  readonly kvPagesTotal: number;
  readonly kvPagesFree: number;
  /** Pages that hold published prefix blocks, which a new request may share. */
  readonly kvPagesCached: number;
  readonly promptTokensTotal: number;
  /** Prompt tokens that were found in KV pages of other requests: prefix cache hits. */
  readonly cachedPromptTokensTotal: number;
  /** Tokens that steps computed: of prompts, of output, and again after a preemption. */
  readonly computedTokensTotal: number;
  /** Steps that the scheduler policy failed to plan, and fcfs planned. */
  readonly policyErrorsTotal: number;
  readonly outputTokensTotal: number;
  readonly preemptionsTotal: number;
  /** m: the most micro-batches of a step on any attention worker; 0 before the first step. */
  readonly microBatches: number;
  readonly stepsTotal: number;
  /** The balance of experts. Present where expert loads are recorded or balanced. */
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
  /** Waiting for expert outputs. */
  readonly waitUs: number;
  /** Counting rows and notifying the expert workers. */
  readonly dispatchUs: number;
  /** Choosing tokens. */
  readonly samplingUs: number;
  /** Planning, batching, the loop itself. */
  readonly drivingUs: number;
  /** Calls of the attention stage: layers × micro-batches, summed over steps. */
  readonly halfLayers: number;
}

/**
 * What the stages of one worker did, for benchmarks. In colocated mode there are two stages,
 * otherwise one.
 */
export interface WorkerProfile {
  readonly role: 'attention' | 'expert';
  readonly rank: number;
  readonly pid: number;
  readonly stages: readonly {
    readonly stage: 'attention' | 'expert';
    readonly totals: StageProfile;
    /** The ops since the profile was requested last. */
    readonly records: readonly OpRecord[];
    /** Ops that were not kept because the records were full. */
    readonly recordsLost: number;
  }[];
  /** The steps of an attention worker while ops are recorded; empty on an expert worker. */
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
