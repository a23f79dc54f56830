import { presentFields, type BackendProbe } from '@megascale/core';
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

/** How a model is to run. The engine chooses what is not given. */
export type Deployment = {
  readonly [Name in keyof LlmOptions]?: LlmOptions[Name] | undefined;
};

export type LoadModel = (
  directory: string,
  deployment: Deployment,
  onEvent?: (event: LlmEvent) => void,
) => Promise<LanguageModel>;

/**
 * The one place where a running model is put together: the engine starts the workers, and each
 * worker imports the backend and the transport of these names from the packages this one depends
 * on.
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
