import {
  presentFields,
  type BackendProbe,
  type EmulatedLink,
  type KvCacheDtype,
} from '@megascale/core';
import {
  backendNames,
  LLM,
  loadBackend,
  loadTransport,
  transportNames,
  type LanguageModel,
  type LlmEvent,
  type LlmOptions,
} from '@megascale/engine';
import type { BenchSuite } from '@megascale/bench';

/** How a model is to run. What is not given is left to the engine. */
export interface Deployment {
  /** What clients call the model. */
  readonly name?: string | undefined;
  /** Both halves of each layer in one worker, without a transport. */
  readonly colocated?: boolean | undefined;
  /** M */
  readonly attentionWorkers?: number | undefined;
  /** N */
  readonly expertWorkers?: number | undefined;
  /** Expert workers that hold each expert. */
  readonly expertReplicas?: number | undefined;
  readonly rebalance?: LlmOptions['rebalance'];
  readonly expertLoadFile?: string | undefined;
  /** m */
  readonly microBatches?: LlmOptions['microBatches'];
  /** Who runs in a step: a name, a file, or a package that brings one. */
  readonly policy?: string | undefined;
  readonly policyTimeMs?: number | undefined;
  readonly ttftTargetMs?: number | undefined;
  readonly tpotTargetMs?: number | undefined;
  /** Sequences that begin alike share pages. */
  readonly prefixSharing?: boolean | undefined;
  /** A step starts while the one before still samples. */
  readonly overlapSteps?: boolean | undefined;
  /** A backend's name, or a package that brings one. */
  readonly backend?: string | undefined;
  /** Settings that only this backend knows. */
  readonly backendSettings?: LlmOptions['backendSettings'];
  /** A transport's name, or a package that brings one. */
  readonly transport?: string | undefined;
  /** A slower link between the pools than there is. */
  readonly emulatedLink?: EmulatedLink | undefined;
  /** Compute threads of each worker. */
  readonly threads?: number | undefined;
  /** How long a wait for a peer spins before it parks, in microseconds. */
  readonly spinUs?: number | undefined;
  readonly isa?: string | undefined;
  /** KV pages of each attention worker. */
  readonly kvPages?: number | undefined;
  readonly kvCacheDtype?: KvCacheDtype | undefined;
  readonly prefillChunkTokens?: number | undefined;
  readonly maxNumBatchedTokens?: number | undefined;
  readonly gather?: LlmOptions['gather'];
  /** Who sums a token's answers. */
  readonly combine?: LlmOptions['combine'];
  readonly hosts?: LlmOptions['hosts'];
  readonly network?: LlmOptions['network'];
}

export type LoadModel = (
  directory: string,
  deployment: Deployment,
  onEvent?: (event: LlmEvent) => void,
) => Promise<LanguageModel>;

/**
 * The one place where a running model is put together: the engine starts the workers, and each worker imports the
 * backend and the transport of these names from the packages this one depends on.
 */
export const loadModel: LoadModel = (directory, deployment, onEvent) => {
  const options: LlmOptions = presentFields(deployment);
  return LLM.load(directory, options, onEvent === undefined ? {} : { onEvent });
};

/** Loaded only when a benchmark runs, so that the other commands start sooner. */
export async function loadBench(): Promise<BenchSuite> {
  const { suite } = await import('@megascale/bench');
  return suite;
}

export type Availability =
  | {
      readonly name: string;
      readonly available: true;
      readonly device?: string;
      readonly variants?: readonly string[];
    }
  | { readonly name: string; readonly available: false; readonly reason: string };

/** What each known backend and transport says about this machine. Never throws. */
export async function probePlugins(): Promise<{
  readonly backends: readonly Availability[];
  readonly transports: readonly Availability[];
}> {
  const probe = async (
    name: string,
    load: (
      name: string,
    ) => Promise<{ probe(): Promise<BackendProbe | { readonly available: true }> }>,
  ): Promise<Availability> => {
    try {
      return { name, ...(await (await load(name)).probe()) };
    } catch (error) {
      return {
        name,
        available: false,
        reason: error instanceof Error ? error.message : String(error),
      };
    }
  };
  return {
    backends: await Promise.all(backendNames.map((name) => probe(name, loadBackend))),
    transports: await Promise.all(transportNames.map((name) => probe(name, loadTransport))),
  };
}
