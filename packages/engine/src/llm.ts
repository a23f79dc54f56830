import { randomInt } from 'node:crypto';
import { basename, resolve } from 'node:path';
import {
  buildModelGraph,
  checkWeights,
  ConfigError,
  openChatTemplate,
  openCheckpoint,
  openTokenizer,
  RequestError,
  resolveSampling,
  type ChatTemplate,
  type GenerationConfig,
  type ModelGraph,
  type Tokenizer,
} from '@megascale/core';
import { AnswerBuilder } from './answer-builder.js';
import { Coordinator } from './coordinator.js';
import type {
  ChatMessage,
  EngineStats,
  GenerateOptions,
  LanguageModel,
  ModelInfo,
  Piece,
  WorkerProfile,
} from './language-model.js';
import { parseOptions, resolveOptions, type EngineConfig, type LlmOptions } from './options.js';
import { loadBackend, loadTransport } from './plugins.js';

/** What happens while a model is being loaded, and when workers are lost. */
export type LlmEvent =
  | {
      readonly type: 'worker-ready';
      readonly role: string;
      readonly rank: number;
      readonly ready: number;
      readonly total: number;
    }
  | { readonly type: 'worker-lost'; readonly error: Error };

export interface LoadHooks {
  readonly onEvent?: (event: LlmEvent) => void;
  /** Start file of a worker process; only tests and bundlers need to say. */
  readonly workerFile?: URL;
}

const logprobsMax = 20;
const stopTextsMax = 16;

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
  readonly #tokenizer: Tokenizer;
  readonly #chatTemplate: ChatTemplate | undefined;
  readonly #coordinator: Coordinator;

  private constructor(parts: {
    info: ModelInfo;
    tokenizer: Tokenizer;
    chatTemplate: ChatTemplate | undefined;
    coordinator: Coordinator;
  }) {
    this.info = parts.info;
    this.#tokenizer = parts.tokenizer;
    this.#chatTemplate = parts.chatTemplate;
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
    const tokenizer = openTokenizer(directory);
    const chatTemplate = openChatTemplate(directory);
    const config = resolveOptions(parsed, graph.sizes);
    await requirePlugins(config);
    const total = config.attentionWorkers + (config.colocated ? 0 : config.expertWorkers);
    let ready = 0;
    const coordinator = await Coordinator.start({
      config,
      modelDirectory: resolve(directory),
      workerFile: hooks.workerFile ?? new URL('./worker-process-main.js', import.meta.url),
      restartsMax: parsed.restartsMax,
      onReady: ({ role, rank }) => {
        ready += 1;
        hooks.onEvent?.({ type: 'worker-ready', role, rank, ready, total });
      },
      onLost: (error) => {
        ready = 0;
        hooks.onEvent?.({ type: 'worker-lost', error });
      },
    });
    const info = describeModel({
      name: parsed.name ?? basename(resolve(directory)),
      graph,
      config,
      generation: checkpoint.generationConfig,
      hasChatTemplate: chatTemplate !== undefined,
      backend: coordinator.backend,
    });
    return new LLM({ info, tokenizer, chatTemplate, coordinator });
  }

  encode(text: string): number[] {
    return this.#tokenizer.encode(text);
  }

  detokenize(tokenIds: readonly number[]): string {
    return this.#tokenizer.decode(tokenIds);
  }

  encodeChat(messages: readonly ChatMessage[]): number[] {
    if (this.#chatTemplate === undefined) {
      throw new RequestError('ERR_REQUEST_INVALID', {
        message: `Model ${this.info.name} has no chat template. Use /v1/completions with a text prompt.`,
        details: { field: 'messages' },
      });
    }
    const text = this.#chatTemplate.render({ messages: messages.map((each) => ({ ...each })) });
    // The template writes the special tokens itself.
    return this.#tokenizer.encode(text, { addSpecialTokens: false });
  }

  async *generate(
    prompt: string | readonly number[],
    options: GenerateOptions = {},
  ): AsyncGenerator<Piece, void> {
    const promptTokenIds = typeof prompt === 'string' ? this.encode(prompt) : prompt;
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
    });
    const abort = (): void => {
      stream.fail(abortError());
      this.#coordinator.cancel(id);
    };
    options.signal?.addEventListener('abort', abort, { once: true });
    const answer = new AnswerBuilder(this.#tokenizer, promptTokenIds, {
      stop: options.stop ?? [],
      eosTokenIds: options.ignoreEos === true ? [] : this.info.eosTokenIds,
    });
    try {
      for (;;) {
        for (const token of await stream.next()) {
          throwIfAborted(options.signal);
          const piece = answer.add(token);
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

  async close(options: { readonly drainMs?: number } = {}): Promise<void> {
    await this.#coordinator.close(options.drainMs ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Returns the output tokens this request may have. */
  #checkLengths(promptTokenIds: readonly number[], maxTokens: number | undefined): number {
    const { contextTokensMax, vocabSize } = this.info;
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
    const room = contextTokensMax - promptTokens;
    if (room < 1 || (maxTokens !== undefined && maxTokens > room)) {
      throw new RequestError('ERR_CONTEXT_LENGTH', {
        message: `The prompt has ${String(promptTokens)} tokens${maxTokens === undefined ? '' : ` and ${String(maxTokens)} output tokens are asked for`}; prompt and output together may have ${String(contextTokensMax)}. Shorten the prompt or ask for less.`,
        details: { promptTokens, maxTokens, contextTokensMax },
      });
    }
    return maxTokens ?? room;
  }
}

/** Fails early, in this process, when a backend or transport cannot run here. */
async function requirePlugins(config: EngineConfig): Promise<void> {
  await loadBackend(config.backend);
  if (config.colocated) return;
  const transport = await loadTransport(config.transport);
  const answer = await transport.probe();
  if (answer.available) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Transport ${transport.name} cannot run here: ${answer.reason}. Choose another, or run colocated.`,
    details: { path: 'transport', reason: answer.reason },
  });
}

function describeModel(parts: {
  readonly name: string;
  readonly graph: ModelGraph;
  readonly config: EngineConfig;
  readonly generation: GenerationConfig;
  readonly hasChatTemplate: boolean;
  readonly backend: { readonly name: string; readonly isa: string };
}): ModelInfo {
  const { graph, config, generation } = parts;
  const { attentionWorkers, expertWorkers, microBatches, transport, emulatedLink } = config;
  const link = emulatedLink === undefined ? {} : { emulatedLink };
  return {
    name: parts.name,
    family: graph.family,
    vocabSize: graph.sizes.vocabSize,
    contextTokensMax: config.contextTokensMax,
    hasChatTemplate: parts.hasChatTemplate,
    topology: config.colocated
      ? { type: 'colocated', attentionWorkers, microBatches }
      : {
          type: 'disaggregated',
          attentionWorkers,
          expertWorkers,
          microBatches,
          transport,
          ...link,
        },
    backend: parts.backend.name,
    isa: parts.backend.isa,
    defaultSampling: generation.sampling,
    eosTokenIds: generation.eosTokenIds,
  };
}

function checkRequest({ logprobs, stop }: GenerateOptions): void {
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
