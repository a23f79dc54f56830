import { setMaxListeners } from 'node:events';
import type { Clock, ModelSizes } from '@megascale/core';
import { LLM, type LlmOptions, type PipelineNumbers } from '@megascale/engine';
import type { MachineDeployment } from '@megascale/planner';
import { randomPrompts } from '../model/random-prompts.js';
import { CpuWatch } from './cpu-watch.js';
import { decodeSamples, type DecodeSamples } from './decode-samples.js';
import { numbersWithin } from './window-numbers.js';

export interface RunShape {
  readonly batch: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** A run that was measured, and how much of the processors others had meanwhile. */
export interface MeasuredRun extends DecodeSamples {
  readonly foreignShare: number;
  /** Of the flight recorder, where they were asked for. */
  readonly numbers?: PipelineNumbers;
}

/** What all deployments that are compared have in common. */
export interface MeasureContext {
  readonly directory: string;
  readonly sizes: ModelSizes;
  readonly layerCount: number;
  /** What the user gave: backend, instruction set. */
  readonly options: LlmOptions;
  readonly batchMax: number;
  readonly maxModelLen: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

const recordsMax = 1 << 18;
const kvPageSize = 16;

/** A loaded deployment of the model, and runs of decode steps on it. */
export class MeasuredDeployment {
  readonly deployment: MachineDeployment;
  readonly llm: LLM;
  readonly #context: MeasureContext;
  readonly #watch: CpuWatch;
  #runs = 0;

  private constructor(
    llm: LLM,
    parts: { deployment: MachineDeployment; context: MeasureContext; pids: readonly number[] },
  ) {
    this.llm = llm;
    this.deployment = parts.deployment;
    this.#context = parts.context;
    this.#watch = new CpuWatch(parts.pids);
  }

  /** Loads it and warms it up. */
  static async load(
    deployment: MachineDeployment,
    context: MeasureContext,
  ): Promise<MeasuredDeployment> {
    context.signal?.throwIfAborted();
    const llm = await LLM.load(context.directory, optionsOf(deployment, context));
    try {
      const { workers } = await llm.stats();
      const pids = workers.map(({ pid }) => pid);
      const loaded = new MeasuredDeployment(llm, { deployment, context, pids });
      const batch = Math.min(4, context.batchMax);
      await loaded.#generate({ batch, promptTokens: 4, outputTokens: 4 });
      return loaded;
    } catch (error) {
      await llm.close();
      throw error;
    }
  }

  /** Every run has prompts of its own. */
  async run(shape: RunShape, withNumbers = false): Promise<MeasuredRun> {
    const { sizes, layerCount } = this.#context;
    const { colocated, expertWorkers, microBatches } = this.deployment;
    await this.llm.profile({ recordsMax });
    this.#watch.start();
    await this.#generate(shape);
    const foreignShare = this.#watch.foreignShare();
    const samples = decodeSamples(await this.llm.profile(), {
      model: { ...sizes, layerCount },
      promptTokens: shape.promptTokens,
      microBatches,
      expertsPerWorker: colocated ? sizes.expertCount : sizes.expertCount / expertWorkers,
    });
    if (!withNumbers) return { ...samples, foreignShare };
    const numbers = numbersWithin(await this.llm.recordings(), samples.window);
    return { ...samples, foreignShare, numbers };
  }

  async close(): Promise<void> {
    await this.llm.close();
  }

  async #generate({ batch, promptTokens, outputTokens }: RunShape): Promise<void> {
    const { signal, sizes } = this.#context;
    // Every sequence listens to it; a hundred of them are no leak.
    if (signal !== undefined) setMaxListeners(0, signal);
    this.#runs += 1;
    const prompts = randomPrompts({
      count: batch,
      tokens: promptTokens,
      vocabSize: sizes.vocabSize,
      seed: this.#runs,
    });
    await Promise.all(
      prompts.map(async (prompt) => {
        const pieces = this.llm.generate(prompt, {
          maxTokens: outputTokens,
          ignoreEos: true,
          temperature: 0,
          ...(signal === undefined ? {} : { signal }),
        });
        for await (const piece of pieces) if (piece.finishReason !== undefined) return;
      }),
    );
  }
}

function optionsOf(deployment: MachineDeployment, context: MeasureContext): LlmOptions {
  const { colocated, attentionWorkers, expertWorkers, microBatches, emulatedLink } = deployment;
  const { maxModelLen, batchMax, options } = context;
  const perWorker = Math.ceil(batchMax / attentionWorkers);
  return {
    ...options,
    colocated,
    attentionWorkers,
    microBatches,
    ...threadsOf(deployment),
    ...(colocated ? {} : { expertWorkers, gather: { type: deployment.gather } }),
    ...(emulatedLink === undefined || colocated
      ? {}
      : {
          emulatedLink: {
            latencyUs: emulatedLink.latencyUs,
            ...(emulatedLink.gigabitsPerSecond === undefined
              ? {}
              : { gigabitsPerSecond: emulatedLink.gigabitsPerSecond }),
          },
        }),
    overlapSteps: deployment.overlapSteps,
    maxModelLen,
    kvPageSize,
    prefillChunkTokens: 256,
    maxNumBatchedTokens: 512,
    kvPages: perWorker * Math.ceil(maxModelLen / kvPageSize),
    maxNumSeqs: perWorker,
    restartsMax: 0,
    // The runs of one deployment shall not find each other's keys.
    prefixSharing: false,
  };
}

/** Where the pools differ it is the engine's own choice, which `deployOnCores` has copied. */
function threadsOf({ colocated, attentionThreads, expertThreads }: MachineDeployment): LlmOptions {
  return colocated || attentionThreads === expertThreads ? { threads: attentionThreads } : {};
}
