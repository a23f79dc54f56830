import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import { runCli } from '../../src/program.js';
import type { CliWorld } from '../../src/world.js';
import type { Deployment } from '../../src/compose.js';
import { ScriptedModel, steppingClock, type Script } from '@megascale/server/testing';

export interface CliRun {
  readonly code: Promise<number>;
  readonly model: ScriptedModel;
  readonly signals: EventEmitter;
  /** Exit codes the command ended the process with, at once. */
  readonly exits: number[];
  /** What the model was loaded with; undefined while it was not. */
  loaded: { readonly directory: string; readonly deployment: Deployment } | undefined;
  stdout: string;
  stderr: string;
}

export interface CliOptions extends Partial<CliWorld> {
  readonly script?: Script;
  /** Thrown instead of a model. */
  readonly loadFailure?: Error;
}

/** A world without a model, a terminal and an environment. */
export function fixtureWorld(world: Partial<CliWorld> = {}): CliWorld {
  return {
    stdin: Readable.from([]),
    stdout: { write: () => true },
    stderr: { write: () => true },
    signals: new EventEmitter(),
    exit: () => undefined,
    clock: steppingClock(),
    readEnvironment: () => ({}),
    loadModel: () => Promise.reject(new Error('no model')),
    probePlugins: () => Promise.resolve({ backends: [], transports: [] }),
    loadBench: () =>
      Promise.reject(Object.assign(new Error('absent'), { code: 'ERR_MODULE_NOT_FOUND' })),
    ...world,
  };
}

/** Runs a command line in this process, on a scripted model. */
export function startCli(words: readonly string[], options: CliOptions = {}): CliRun {
  const { script = {}, loadFailure, ...world } = options;
  const model = new ScriptedModel(script);
  const run = { model, signals: new EventEmitter(), exits: [] as number[], stdout: '', stderr: '' };
  const result: CliRun = Object.assign(run, { code: Promise.resolve(0), loaded: undefined });
  const code = runCli(
    words,
    fixtureWorld({
      stdout: { write: (text) => (result.stdout += text) },
      stderr: { write: (text) => (result.stderr += text) },
      signals: run.signals,
      exit: (exitCode) => run.exits.push(exitCode),
      loadModel: (directory, deployment) => {
        result.loaded = { directory, deployment };
        return loadFailure === undefined ? Promise.resolve(model) : Promise.reject(loadFailure);
      },
      ...world,
    }),
  );
  return Object.assign(result, { code });
}

export async function finishedCli(
  words: readonly string[],
  options: CliOptions = {},
): Promise<Omit<CliRun, 'code'> & { readonly code: number }> {
  const run = startCli(words, options);
  const code = await run.code;
  return Object.assign(run, { code });
}
