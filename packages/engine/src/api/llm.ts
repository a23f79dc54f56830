import { randomInt } from 'node:crypto';
import { basename, resolve } from 'node:path';
import {
  buildModelGraph,
  checkWeights,
  ConfigError,
  openCheckpoint,
  partition,
  RequestError,
  resolveSampling,
  systemClock,
  type PlacementEpoch,
  type WeightSource,
} from '@megascale/core';
import { AnswerBuilder } from './answer-builder.js';
import { checkPolicy } from '../plugins/check-policy.js';
import { Coordinator, type SequenceSubmission } from '../coordinator/coordinator.js';
import { describeModel } from './describe-model.js';
import type { ExpertsMoved } from '../placement/expert-balance.js';
import type {
  ChatMessage,
  EngineStats,
  GenerateOptions,
  LanguageModel,
  ModelInfo,
  Piece,
  WorkerProfile,
} from '../spec/language-model.js';
import { PromptTokenizer } from './prompt-tokenizer.js';
import {
  requestAccount,
  RequestAccounts,
  type RequestAccount,
} from '../recorder/request-account.js';
import type { WorkerRecording } from '../recorder/worker-recording.js';
import { balanceOpener } from '../placement/open-balance.js';
import type { EngineConfig } from '../config/engine-config.js';
import { parseOptions, type LlmOptions } from '../config/options.js';
import { resolveOptions } from '../config/resolve-options.js';
import type { MoveReport } from '../placement/placement-keeper.js';
import { isKnownPolicy, loadBackend, loadPolicy, loadTransport } from '../plugins/plugins.js';

/** What happens while a model is being loaded, and when workers are lost. */
export type LlmEvent =
  /** The model directory is read and fits; `total` workers start and load the weights. */
  | { readonly type: 'workers-starting'; readonly total: number; readonly weightBytes: number }
  | {
      readonly type: 'worker-ready';
      readonly role: string;
      readonly rank: number;
      readonly ready: number;
      readonly total: number;
    }
  | { readonly type: 'worker-lost'; readonly error: Error }
  /** Experts were moved, or could not be, because of recent traffic. */
  | { readonly type: 'experts-moved'; readonly move: ExpertsMoved }
  | { readonly type: 'experts-not-moved'; readonly error: Error }
  /** A scheduler policy failed, in a way it had not before; fcfs planned the step. */
  | { readonly type: 'policy-failed'; readonly error: Error };

export interface LoadHooks {
  readonly onEvent?: (event: LlmEvent) => void;
  /** Start file of a worker process; only tests and bundlers need to say. */
  readonly workerFile?: URL;
  /** How long the module of a policy of one's own may take to load. Default: 30 s. */
  readonly policyLoadMs?: number;
}

const logprobsMax = 20;
const stopTextsMax = 16;
const priorityMax = 1_000;
const tenantLengthMax = 256;

/**
 * A running model: attention workers, expert workers and the coordinator between them and you.
 *
 * ```ts
 * const llm = await LLM.load('models/dictionary', { attentionWorkers: 2, expertWorkers: 2, microBatches: 3 });
 * for await (const piece of llm.generate('lighthouse (noun):', { maxTokens: 24 })) process.stdout.write(piece.text);
 * await llm.close();
 * ```
 */
export class LLM implements LanguageModel {
  readonly info: ModelInfo;
  readonly #tokenizer: PromptTokenizer;
  readonly #coordinator: Coordinator;
  readonly #accounts = new RequestAccounts();

  private constructor(parts: {
    info: ModelInfo;
    tokenizer: PromptTokenizer;
    coordinator: Coordinator;
  }) {
    this.info = parts.info;
    this.#tokenizer = parts.tokenizer;
    this.#coordinator = parts.coordinator;
  }

  /**
   * Reads a model in Hugging Face layout and starts its workers. Everything that can be wrong with the directory is found
   * before any process is started.
   *
   * @throws ConfigError for the directory or the options, BackendError when the backend cannot run here.
   */
  static async load(
    directory: string,
    options: LlmOptions = {},
    hooks: LoadHooks = {},
  ): Promise<LLM> {
    const parsed = parseOptions(options);
    const checkpoint = openCheckpoint(directory);
    const graph = buildModelGraph(checkpoint.config);
    checkWeights(graph, checkpoint.weights);
    const name = parsed.name ?? basename(resolve(directory));
    const tokenizer = new PromptTokenizer(directory, name);
    const config = resolveOptions(parsed, graph.sizes);
    await requirePlugins(config, hooks);
    const total = config.attentionWorkers + (config.colocated ? 0 : config.expertWorkers);
    let ready = 0;
    const openBalance = balanceOpener(parsed, config, graph, {
      onMoved: (move) => {
        hooks.onEvent?.({ type: 'experts-moved', move });
      },
      onMoveFailed: (error) => {
        hooks.onEvent?.({ type: 'experts-not-moved', error });
      },
    });
    hooks.onEvent?.({ type: 'workers-starting', total, weightBytes: bytesOf(checkpoint.weights) });
    const coordinator = await Coordinator.start({
      openBalance,
      config,
      modelDirectory: resolve(directory),
      workerFile: hooks.workerFile ?? new URL('./worker-process-main.js', import.meta.url),
      expertCount: graph.sizes.expertCount,
      layerCount: partition(graph).attention.stages.length,
      restartsMax: parsed.restartsMax,
      onReady: ({ role, rank }) => {
        ready += 1;
        hooks.onEvent?.({ type: 'worker-ready', role, rank, ready, total });
      },
      onPolicyFailed: (error) => {
        hooks.onEvent?.({ type: 'policy-failed', error });
      },
      onLost: (error) => {
        ready = 0;
        hooks.onEvent?.({ type: 'worker-lost', error });
      },
    });
    const info = describeModel({
      name,
      graph,
      config,
      generation: checkpoint.generationConfig,
      hasChatTemplate: tokenizer.hasChatTemplate,
      backend: coordinator.backend,
    });
    return new LLM({ info, tokenizer, coordinator });
  }

  encode(text: string): number[] {
    return this.#tokenizer.encode(text);
  }

  detokenize(tokenIds: readonly number[]): string {
    return this.#tokenizer.tokenizer.decode(tokenIds);
  }

  encodeChat(messages: readonly ChatMessage[]): number[] {
    return this.#tokenizer.encodeChat(messages);
  }

  async *generate(
    prompt: string | readonly number[],
    options: GenerateOptions = {},
  ): AsyncGenerator<Piece, void> {
    const promptTokenIds = typeof prompt === 'string' ? this.encode(prompt) : prompt;
    const tokenizingUs = this.#tokenizer.tookUs(promptTokenIds);
    const askedUs = systemClock.nowUs() - tokenizingUs;
    let detokenizingUs = 0;
    const maxTokens = this.#checkLengths(promptTokenIds, options.maxTokens);
    checkRequest(options);
    const sampling = resolveSampling(options, this.info.defaultSampling, drawSeed);
    throwIfAborted(options.signal);
    const { id, stream } = this.#coordinator.submit({
      promptTokenIds,
      maxTokens,
      endTokenIds: options.ignoreEos === true ? [] : this.info.eosTokenIds,
      sampling,
      ...(options.logprobs === undefined ? {} : { logprobs: options.logprobs }),
      ...serviceWishes(options),
    });
    const abort = (): void => {
      stream.fail(abortError());
      this.#coordinator.cancel(id);
    };
    options.signal?.addEventListener('abort', abort, { once: true });
    const answer = new AnswerBuilder(this.#tokenizer.tokenizer, promptTokenIds, {
      stop: options.stop ?? [],
      eosTokenIds: options.ignoreEos === true ? [] : this.info.eosTokenIds,
    });
    try {
      for (;;) {
        for (const token of await stream.next()) {
          throwIfAborted(options.signal);
          const beganUs = systemClock.nowUs();
          const piece = answer.add(token);
          const endUs = systemClock.nowUs();
          detokenizingUs += endUs - beganUs;
          if (token.account !== undefined) {
            const { length: promptTokens } = promptTokenIds;
            const outside = {
              tokenizingUs,
              detokenizingUs,
              totalUs: endUs - askedUs,
              promptTokens,
            };
            const { outputTokens } = answer;
            const account = requestAccount(token.account, { ...outside, outputTokens });
            this.#accounts.add(options.requestId ?? String(id), account);
          }
          if (piece !== undefined) yield piece;
          if (piece?.finishReason !== undefined) return;
        }
      }
    } finally {
      options.signal?.removeEventListener('abort', abort);
      this.#coordinator.cancel(id);
    }
  }

  stats(): Promise<EngineStats> {
    return Promise.resolve(this.#coordinator.stats());
  }

  /**
   * What every worker's ops have cost, and the ops and steps recorded since the last call; from now on each stage records the
   * next `recordsMax` ops (default 0: none). For benchmarks: ask while nothing runs.
   */
  profile(options: { readonly recordsMax?: number } = {}): Promise<WorkerProfile[]> {
    return this.#coordinator.profile(options.recordsMax ?? 0);
  }

  /**
   * Where the time of a request went, one account per answer: of the newest thousand requests that came to their end. Empty for
   * another id, or one that was aborted.
   */
  accounts(requestId: string): readonly RequestAccount[] {
    return this.#accounts.get(requestId);
  }

  /** What every worker did last, on one clock; always there (option `recorderEvents`). */
  async recordings(): Promise<WorkerRecording[]> {
    return this.#coordinator.recordings();
  }

  /** Which expert workers hold which expert, by layer with experts and expert id, and whether experts are being moved. */
  placement(): PlacementEpoch & { readonly moving: boolean } {
    return this.#coordinator.placement;
  }

  /**
   * Moves experts between the expert workers: placement[layer][expert] = the ranks that hold it from now on; one layer stands for all of
   * them. Serving goes on and no token changes: workers load what they gain between their other work, at most `bytesPerSecond` (default: option `moveBytesPerSecond`),
   * requests change over from step to step, and only then the workers forget what they lost. Until then they hold both.
   *
   * @throws ConfigError 'ERR_CONFIG_FIELD' for a placement that cannot be, a colocated engine, or `combine: 'expert'`; RequestError
   * 'ERR_UNAVAILABLE' while there are no workers or another move runs; ConfigError or BackendError of a worker that cannot load its
   * experts, and all go back to what they had; TransportError when a worker is lost.
   */
  async movePlacement(
    placement: readonly (readonly (readonly number[])[])[],
    options: { readonly bytesPerSecond?: number } = {},
  ): Promise<MoveReport> {
    return this.#coordinator.movePlacement(placement, options.bytesPerSecond);
  }

  async close(options: { readonly drainMs?: number } = {}): Promise<void> {
    await this.#coordinator.close(options.drainMs ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Returns the output tokens this request may have. */
  #checkLengths(promptTokenIds: readonly number[], maxTokens: number | undefined): number {
    const { maxModelLen, vocabSize } = this.info;
    const promptTokens = promptTokenIds.length;
    if (promptTokens === 0)
      throw invalid('prompt', 'the prompt has no tokens; give at least one', 0);
    const foreign = promptTokenIds.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (foreign !== undefined) {
      throw invalid(
        'prompt',
        `token ids are whole numbers from 0 to ${String(vocabSize - 1)}`,
        foreign,
      );
    }
    if (maxTokens !== undefined && (!Number.isInteger(maxTokens) || maxTokens < 1)) {
      throw invalid('maxTokens', 'it must be a whole number of at least 1', maxTokens);
    }
    const room = maxModelLen - promptTokens;
    if (room < 1 || (maxTokens !== undefined && maxTokens > room)) {
      throw new RequestError('ERR_CONTEXT_LENGTH', {
        message: `The prompt has ${String(promptTokens)} tokens${maxTokens === undefined ? '' : ` and ${String(maxTokens)} output tokens are asked for`}; prompt and output together may have ${String(maxModelLen)}. Shorten the prompt or ask for less.`,
        details: { promptTokens, maxTokens, maxModelLen },
      });
    }
    return maxTokens ?? room;
  }
}

/** Bytes of all tensors of a checkpoint. */
function bytesOf({ tensors }: WeightSource): number {
  return [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** Fails early, in this process, when a backend or transport cannot run here. */
async function requirePlugins(config: EngineConfig, hooks: LoadHooks): Promise<void> {
  await loadBackend(config.backend);
  if (isKnownPolicy(config.policy)) await loadPolicy(config.policy);
  else await checkPolicy(config.policy, hooks.policyLoadMs);
  if (config.colocated) return;
  const transport = await loadTransport(config.transport);
  const answer = await transport.probe();
  if (answer.available) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Transport ${transport.name} cannot run here: ${answer.reason}. Choose another, or run colocated.`,
    details: { path: 'transport', reason: answer.reason },
  });
}

function serviceWishes({
  priority,
  tenant,
  ttftTargetMs,
  tpotTargetMs,
}: GenerateOptions): Pick<
  SequenceSubmission,
  'priority' | 'tenant' | 'ttftTargetMs' | 'tpotTargetMs'
> {
  return {
    ...(priority === undefined ? {} : { priority }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(ttftTargetMs === undefined ? {} : { ttftTargetMs }),
    ...(tpotTargetMs === undefined ? {} : { tpotTargetMs }),
  };
}

function checkRequest(options: GenerateOptions): void {
  const { logprobs, stop, priority, tenant } = options;
  if (
    priority !== undefined &&
    !(Number.isInteger(priority) && Math.abs(priority) <= priorityMax)
  ) {
    const range = `-${String(priorityMax)} to ${String(priorityMax)}`;
    throw invalid('priority', `it must be a whole number from ${range}`, priority);
  }
  if (tenant !== undefined && tenant.length > tenantLengthMax) {
    throw invalid('tenant', `it may have ${String(tenantLengthMax)} characters`, tenant.length);
  }
  for (const field of ['ttftTargetMs', 'tpotTargetMs'] as const) {
    const target = options[field];
    if (target === undefined || (Number.isFinite(target) && target > 0)) continue;
    throw invalid(field, 'it must be a positive number of milliseconds', target);
  }
  if (
    logprobs !== undefined &&
    (!Number.isInteger(logprobs) || logprobs < 0 || logprobs > logprobsMax)
  ) {
    throw invalid(
      'logprobs',
      `it must be a whole number from 0 to ${String(logprobsMax)}`,
      logprobs,
    );
  }
  if (stop !== undefined && (stop.length > stopTextsMax || stop.includes(''))) {
    throw invalid('stop', `give at most ${String(stopTextsMax)} texts, none of them empty`, stop);
  }
}

function invalid(field: string, what: string, found: unknown): RequestError {
  return new RequestError('ERR_REQUEST_INVALID', {
    message: `${field}: ${what} (found ${JSON.stringify(found)}).`,
    details: { field, found },
  });
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError();
}

function abortError(): RequestError {
  return new RequestError('ERR_ABORTED', { message: 'The request was aborted by its sender.' });
}

function drawSeed(): number {
  return randomInt(2 ** 47);
}
