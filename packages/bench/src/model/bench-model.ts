import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { LLM, type LlmOptions, type WorkerProfile } from '@megascale/engine';

/** What of a model's sizes and a benchmark's shape decides how it is loaded. */
export interface BenchShape {
  readonly batch: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** Ops that one stage can record: far more than a run has, and untouched room costs nothing. */
const recordsMax = 1 << 18;
const kvPageSize = 16;

/**
 * Options under which the benchmark is one thing: all prompts in one step without chunks, room for
 * every sequence and no more, every prompt computed, one micro-batch where nothing is to be hidden
 * behind another. What the user gave stands.
 */
export function benchOptions(given: LlmOptions, shape: BenchShape): LlmOptions {
  const tokens = shape.promptTokens + shape.outputTokens;
  const attentionWorkers = given.attentionWorkers ?? 1;
  const sequencesPerWorker = Math.ceil(shape.batch / attentionWorkers);
  return {
    maxModelLen: tokens,
    kvPageSize,
    kvPages: sequencesPerWorker * Math.ceil(tokens / kvPageSize),
    prefillChunkTokens: shape.promptTokens,
    maxNumBatchedTokens: sequencesPerWorker * shape.promptTokens,
    maxNumSeqs: Math.max(sequencesPerWorker, 1),
    restartsMax: 0,
    // The same prompts come in every run.
    prefixSharing: false,
    ...(given.colocated === true ? { microBatches: 1 } : {}),
    ...given,
  };
}

/**
 * Compute threads of all workers together, at most the cores: what the bounds are measured with.
 */
export function totalThreads({ options }: { readonly options: LlmOptions }): number {
  const { attentionWorkers = 1, expertWorkers = 1, colocated = false } = options;
  const workers = attentionWorkers + (colocated ? 0 : expertWorkers);
  const cores = availableParallelism();
  return options.threads === undefined ? cores : Math.min(cores, options.threads * workers);
}

/** A loaded model, and how to run one batch on it. */
export class BenchModel {
  readonly directory: string;
  readonly options: LlmOptions;
  readonly llm: LLM;

  private constructor(directory: string, options: LlmOptions, llm: LLM) {
    this.directory = directory;
    this.options = options;
    this.llm = llm;
  }

  static async load(directory: string, given: LlmOptions, shape: BenchShape): Promise<BenchModel> {
    const options = benchOptions(given, shape);
    return new BenchModel(directory, options, await LLM.load(directory, options));
  }

  /** From now on every op and step is noted. */
  async record(): Promise<void> {
    await this.llm.profile({ recordsMax });
  }

  /** Submits all prompts in one turn, so that they start in one step; ends when all have ended. */
  async run(
    prompts: readonly (readonly number[])[],
    outputTokens: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const options = { maxTokens: outputTokens, ignoreEos: true, temperature: 0 };
    // Every sequence listens to it; a hundred of them are no leak.
    if (signal !== undefined) setMaxListeners(0, signal);
    await Promise.all(
      prompts.map(async (prompt) => {
        const pieces = this.llm.generate(
          prompt,
          signal === undefined ? options : { ...options, signal },
        );
        for await (const piece of pieces) if (piece.finishReason !== undefined) return;
      }),
    );
  }

  /** What was noted since `record`. */
  async takeProfiles(): Promise<readonly WorkerProfile[]> {
    return this.llm.profile();
  }

  async close(): Promise<void> {
    await this.llm.close();
  }
}
