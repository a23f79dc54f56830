import { RequestError } from '@megascale/core';
import { until } from '@megascale/core/testing';
import type {
  ChatMessage,
  EngineStats,
  GenerateOptions,
  LanguageModel,
  ModelInfo,
  OutputToken,
  Piece,
  RequestAccount,
  WorkerRecording,
} from '@megascale/engine';

export interface Script {
  /** Texts of the output tokens, repeated without end. Default: ' a', ' b', ' c'. */
  readonly tokens?: readonly string[];
  /** The error that the model throws instead of output token `afterTokens`. */
  readonly failure?: { readonly afterTokens: number; readonly error: Error };
  /** What the model waits for before each token; an abort ends the wait. */
  readonly pause?: (tokenIndex: number) => Promise<void>;
  readonly info?: Partial<ModelInfo>;
  readonly stats?: Partial<EngineStats>;
  readonly recordings?: WorkerRecording[];
  readonly accounts?: Readonly<Record<string, readonly RequestAccount[]>>;
}

export interface ScriptedCall {
  readonly prompt: string | readonly number[];
  readonly options: GenerateOptions;
}

export const bosTokenId = 1;

/**
 * A model for tests that answers every prompt with the tokens of its script. The tokens of a text
 * are its code points, with a token for the beginning in front.
 */
export class ScriptedModel implements LanguageModel {
  readonly info: ModelInfo;
  readonly calls: ScriptedCall[] = [];
  /** Sequences that run now. */
  running = 0;
  /** Sequences that ended before their last piece. */
  abortedCount = 0;
  closedWithDrainMs: number | undefined;
  readonly #script: Script;

  constructor(script: Script = {}) {
    this.#script = script;
    this.info = {
      name: 'scripted',
      family: 'mixtral',
      vocabSize: 0x110000,
      maxModelLen: 100,
      hasChatTemplate: true,
      topology: {
        type: 'disaggregated',
        attentionWorkers: 1,
        expertWorkers: 2,
        microBatches: 3,
        transport: 'shm',
      },
      backend: 'scripted',
      isa: 'none',
      defaultSampling: {},
      eosTokenIds: [2],
      ...script.info,
    };
  }

  encode(text: string): number[] {
    return [bosTokenId, ...Array.from(text, (character) => character.codePointAt(0) ?? 0)];
  }

  detokenize(tokenIds: readonly number[]): string {
    const shown = tokenIds.filter((tokenId) => tokenId !== bosTokenId);
    return String.fromCodePoint(...shown);
  }

  encodeChat(messages: readonly ChatMessage[]): number[] {
    if (!this.info.hasChatTemplate) {
      throw new RequestError('ERR_REQUEST_INVALID', {
        message: 'No chat template. Use a text prompt.',
        details: { field: 'messages' },
      });
    }
    const text = messages.map(({ role, content }) => `<${role}>${content}`).join('');
    return Array.from(text, (character) => character.codePointAt(0) ?? 0);
  }

  async *generate(
    prompt: string | readonly number[],
    options: GenerateOptions = {},
  ): AsyncGenerator<Piece, void> {
    if (this.closedWithDrainMs !== undefined) {
      throw new RequestError('ERR_UNAVAILABLE', { message: 'Shutting down. Ask another.' });
    }
    this.calls.push({ prompt, options });
    const promptTokens = typeof prompt === 'string' ? this.encode(prompt).length : prompt.length;
    const { maxModelLen } = this.info;
    const maxTokens = options.maxTokens ?? maxModelLen - promptTokens;
    if (promptTokens + maxTokens > maxModelLen) {
      throw new RequestError('ERR_CONTEXT_LENGTH', { message: 'Too long. Shorten it.' });
    }
    this.running += 1;
    let finished = false;
    try {
      for (let index = 0; !finished; index += 1) {
        await this.#wait(index, options.signal);
        const { failure } = this.#script;
        if (failure?.afterTokens === index) throw failure.error;
        const piece = this.#piece(index, options);
        finished = piece.finishReason !== undefined || index + 1 === maxTokens;
        const usage = { promptTokens, cachedPromptTokens: 0, outputTokens: index + 1 };
        yield finished ? { finishReason: 'length', ...piece, usage } : piece;
      }
    } finally {
      this.running -= 1;
      if (!finished) this.abortedCount += 1;
    }
  }

  stats(): Promise<EngineStats> {
    return Promise.resolve({
      state: 'ready',
      requestsWaiting: 0,
      requestsRunning: this.running,
      kvPagesTotal: 64,
      kvPagesFree: 64 - this.running,
      kvPagesCached: 0,
      cachedPromptTokensTotal: 3,
      computedTokensTotal: 17,
      policyErrorsTotal: 0,
      promptTokensTotal: 7,
      outputTokensTotal: 11,
      preemptionsTotal: 0,
      microBatches: 2,
      stepsTotal: 5,
      workers: [{ role: 'attention', rank: 0, pid: 4242 }],
      stepTime: {
        totalUs: 4_000_000,
        computeUs: 2_000_000,
        waitUs: 1_000_000,
        dispatchUs: 400_000,
        samplingUs: 300_000,
        drivingUs: 300_000,
        halfLayers: 10,
      },
      ...this.#script.stats,
    });
  }

  recordings(): Promise<WorkerRecording[]> {
    return Promise.resolve(this.#script.recordings ?? []);
  }

  accounts(requestId: string): readonly RequestAccount[] {
    return this.#script.accounts?.[requestId] ?? [];
  }

  /** Waits for the running sequences, however long: the test decides when they end. */
  close(options: { readonly drainMs?: number } = {}): Promise<void> {
    this.closedWithDrainMs = options.drainMs ?? 0;
    return until(() => this.running === 0);
  }

  #piece(index: number, options: GenerateOptions): Piece {
    const { tokens = [' a', ' b', ' c'] } = this.#script;
    const text = tokens[index % tokens.length] ?? '';
    const stopped = options.stop?.some((stop) => text.includes(stop)) ?? false;
    const token: OutputToken = {
      id: 100 + index,
      text,
      ...(options.logprobs === undefined ? {} : logprobsOf(text, options.logprobs)),
    };
    return stopped
      ? { text: '', tokens: [token], finishReason: 'stop' }
      : { text, tokens: [token] };
  }

  async #wait(index: number, signal: AbortSignal | undefined): Promise<void> {
    const aborted = new RequestError('ERR_ABORTED', { message: 'Aborted by its sender.' });
    if (signal?.aborted === true) throw aborted;
    const pause = this.#script.pause?.(index);
    if (pause === undefined) return;
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        reject(aborted);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      void pause.then(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
    });
  }
}

function logprobsOf(text: string, alternatives: number) {
  const topLogprobs = Array.from({ length: alternatives }, (_, rank) => ({
    id: 100 + rank,
    text: rank === 0 ? text : `~${rank}`,
    logprob: rank === 2 ? -Infinity : -0.5 - rank,
  }));
  return { logprob: -0.5, topLogprobs };
}
