import { randomInt } from 'node:crypto';
import { basename, resolve } from 'node:path';
import {
  buildModelGraph,
  checkWeights,
  openCheckpoint,
  resolveSampling,
  systemClock,
  type PlacementEpoch,
} from '@megascale/core';
import { parseOptions, type LlmOptions } from '../config/options.js';
import { resolveOptions } from '../config/resolve-options.js';
import type { Coordinator } from '../coordinator/coordinator.js';
import type { SubmittedSequence } from '../coordinator/sequence-table.js';
import type { MoveReport } from '../placement/placement-keeper.js';
import { requirePlugins } from '../plugins/require-plugins.js';
import type { GeneratedToken } from '../protocol/messages.js';
import {
  requestAccount,
  RequestAccounts,
  type RequestAccount,
} from '../recorder/request-account.js';
import type { WorkerRecording } from '../recorder/worker-recording.js';
import type {
  ChatMessage,
  EngineStats,
  GenerateOptions,
  LanguageModel,
  ModelInfo,
  Piece,
  WorkerProfile,
} from '../spec/language-model.js';
import { abortError, checkLengths, checkOptions, throwIfAborted } from './check-request.js';
import { CompletionBuilder } from './completion-builder.js';
import { describeModel } from './describe-model.js';
import type { LoadHooks } from './load-hooks.js';
import { PromptTokenizer } from './prompt-tokenizer.js';
import { startCoordinator } from './start-coordinator.js';

/**
 * A running model: attention workers, expert workers, and the coordinator between them and the
 * program.
 *
 * ```ts
 * const llm = await LLM.load('models/dictionary', {
 *   attentionWorkers: 2,
 *   expertWorkers: 2,
 *   microBatches: 3,
 * });
 * for await (const piece of llm.generate('lighthouse (noun):', { maxTokens: 24 })) {
 *   process.stdout.write(piece.text);
 * }
 * await llm.close();
 * ```
 */
export class LLM implements LanguageModel {
  readonly info: ModelInfo;
  readonly #tokenizer: PromptTokenizer;
  readonly #coordinator: Coordinator;
  readonly #accounts = new RequestAccounts();

  /** @internal Programs use `LLM.load`. */
  constructor(info: ModelInfo, tokenizer: PromptTokenizer, coordinator: Coordinator) {
    this.info = info;
    this.#tokenizer = tokenizer;
    this.#coordinator = coordinator;
  }

  /**
   * Reads a model in Hugging Face layout and starts its workers. Everything that can be wrong with
   * the directory is found before any process is started.
   *
   * @throws ConfigError for the directory or the options, BackendError when the backend cannot run
   * here.
   */
  static async load(
    directory: string,
    options: LlmOptions = {},
    hooks: LoadHooks = {},
  ): Promise<LLM> {
    const parsed = parseOptions(options);
    const { config: modelConfig, weights, generationConfig } = openCheckpoint(directory);
    const graph = buildModelGraph(modelConfig);
    checkWeights(graph, weights);
    const modelDirectory = resolve(directory);
    const name = parsed.name ?? basename(modelDirectory);
    const tokenizer = new PromptTokenizer(directory, name);
    const config = resolveOptions(parsed, graph.sizes);
    await requirePlugins(config, hooks.policyLoadMs);
    const parts = { modelDirectory, graph, weights, options: parsed, config };
    const coordinator = await startCoordinator(parts, hooks);
    const info = describeModel({
      name,
      graph,
      config,
      generation: generationConfig,
      hasChatTemplate: tokenizer.hasChatTemplate,
      backend: coordinator.backend,
    });
    return new LLM(info, tokenizer, coordinator);
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
    const askedUs = systemClock.nowUs() - this.#tokenizer.tookUs(promptTokenIds);
    const { signal } = options;
    const { id, stream } = this.#submit(promptTokenIds, options);
    const abort = (): void => {
      stream.fail(abortError());
      this.#coordinator.cancel(id);
    };
    signal?.addEventListener('abort', abort, { once: true });
    const completion = new CompletionBuilder(this.#tokenizer.tokenizer, promptTokenIds, {
      stop: options.stop ?? [],
      eosTokenIds: this.#endTokenIds(options),
    });
    try {
      for (;;) {
        for (const token of await stream.next()) {
          throwIfAborted(signal);
          const piece = completion.add(token);
          this.#account(options.requestId ?? String(id), token, completion, askedUs);
          if (piece !== undefined) yield piece;
          if (piece?.finishReason !== undefined) return;
        }
      }
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#coordinator.cancel(id);
    }
  }

  stats(): Promise<EngineStats> {
    return Promise.resolve(this.#coordinator.stats());
  }

  /**
   * Returns what every worker's ops have cost, and the ops and steps recorded since the last call.
   * From now on each stage records the next `recordsMax` ops (default 0: none). For benchmarks:
   * call it while nothing runs.
   */
  profile(options: { readonly recordsMax?: number } = {}): Promise<WorkerProfile[]> {
    return this.#coordinator.profile(options.recordsMax ?? 0);
  }

  /**
   * Returns where the time of a request went, one account for each completion. The engine keeps
   * those of the newest thousand requests that have ended; an aborted request has none.
   */
  accounts(requestId: string): readonly RequestAccount[] {
    return this.#accounts.get(requestId);
  }

  /** Returns the newest events of every worker on one clock (option `recorderEvents`). */
  async recordings(): Promise<WorkerRecording[]> {
    return this.#coordinator.recordings();
  }

  /**
   * Returns which expert workers hold which expert, by layer with experts and expert id, and
   * whether experts are being moved.
   */
  placement(): PlacementEpoch & { readonly moving: boolean } {
    return this.#coordinator.placement;
  }

  /**
   * Moves experts between the expert workers: placement[layer][expert] are the ranks that hold it
   * from now on; one layer stands for all of them. Serving goes on and no token changes. Workers
   * load what they gain between their other work, at most `bytesPerSecond` (default: the option
   * `moveBytesPerSecond`). Requests change over from step to step, and only then the workers drop
   * what they lost. Until then they hold both.
   *
   * @throws ConfigError 'ERR_CONFIG_FIELD' for an impossible placement, a colocated engine, or
   * `combine: 'expert'`; RequestError 'ERR_UNAVAILABLE' while there are no workers or another move
   * runs; ConfigError or BackendError of a worker that cannot load its experts, after which all
   * workers go back to what they had; TransportError when a worker is lost.
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

  #submit(promptTokenIds: readonly number[], options: GenerateOptions): SubmittedSequence {
    const maxTokens = checkLengths(this.info, promptTokenIds, options.maxTokens);
    checkOptions(options);
    const sampling = resolveSampling(options, this.info.defaultSampling, drawSeed);
    throwIfAborted(options.signal);
    const { logprobs, priority, tenant, ttftTargetMs, tpotTargetMs } = options;
    return this.#coordinator.submit({
      promptTokenIds,
      maxTokens,
      endTokenIds: this.#endTokenIds(options),
      sampling,
      ...(logprobs === undefined ? {} : { logprobs }),
      ...(priority === undefined ? {} : { priority }),
      ...(tenant === undefined ? {} : { tenant }),
      ...(ttftTargetMs === undefined ? {} : { ttftTargetMs }),
      ...(tpotTargetMs === undefined ? {} : { tpotTargetMs }),
    });
  }

  #endTokenIds({ ignoreEos }: GenerateOptions): readonly number[] {
    return ignoreEos === true ? [] : this.info.eosTokenIds;
  }

  /** Keeps the account of a request, which its last token brings along. */
  #account(
    requestId: string,
    { account }: GeneratedToken,
    completion: CompletionBuilder,
    askedUs: number,
  ): void {
    if (account === undefined) return;
    const outside = {
      totalUs: systemClock.nowUs() - askedUs,
      tokenizingUs: this.#tokenizer.tookUs(completion.promptTokenIds),
      detokenizingUs: completion.detokenizingUs,
      promptTokens: completion.promptTokenIds.length,
      outputTokens: completion.outputTokens,
    };
    this.#accounts.add(requestId, requestAccount(account, outside));
  }
}

function drawSeed(): number {
  return randomInt(2 ** 47);
}
